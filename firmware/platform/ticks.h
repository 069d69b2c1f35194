// Time since reset. board_ticks() wraps after 2^32 ticks (20 s at 216 MHz): someone has to look more often than that, and the
// main loop and every operator do.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Returns the ticks since reset.
uint64_t ticks_now(void);

// Returns the microseconds since reset; on an emulated board those of its virtual time.
uint64_t microseconds_now(void);

// Returns what so many ticks are in the unit BOARD_COUNTER.
uint64_t ticks_to_counts(uint64_t ticks);

#ifdef __cplusplus
}
#endif
