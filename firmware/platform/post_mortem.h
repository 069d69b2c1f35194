// What the firmware was doing, in RAM that a restart leaves alone, so that a hang or a crash can be told after it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Says what is being done now, for the case that it never ends.
void post_mortem_starting(void);
void post_mortem_idle(void);
void post_mortem_operator(uint32_t index);

typedef enum { kNoFault, kFault, kStackOverflow, kNullPointer } Fault;

// Notes a fault in what is being done; `address` is that of the code, of an overflow that in the stack.
void post_mortem_fault(Fault fault, uint32_t address);
const char *post_mortem_fault_name(Fault fault);

// Called once after reset, with whether it was the watchdog's: composes post_mortem_text() and begins again.
void post_mortem_read(bool reset_by_watchdog);

// Returns why the board restarted, "" after power on or an ordinary reset.
const char *post_mortem_text(void);

// Returns whether what ended badly was the start itself, which is therefore better not tried again.
bool post_mortem_in_start(void);

#ifdef __cplusplus
}
#endif
