// What a port in ports/ gives to the rest: five functions. The numbers of the board come from its header in boards/.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifndef BOARD_HEADER
#error "BOARD_HEADER is not defined: build with `make BOARD=...`, which defines it as \"boards/<board>.h\""
#endif
#include BOARD_HEADER

#ifdef __cplusplus
extern "C" {
#endif

// Starts clocks, serial port and counter. Always leaves a working serial port; returns the reason if the clock is not
// BOARD_CLOCK_HZ, NULL if all is well.
const char *board_init(void);

// Sends one byte; waits until the port takes it.
void board_write(char byte);

// Returns a free-running count of ticks, modulo 2^32.
uint32_t board_ticks(void);

// Ends the program once all bytes are sent: the emulator exits with `status`, a board sleeps.
void board_exit(int status) __attribute__((noreturn));

// startup.c: returns the deepest use of the stack since reset, in bytes, and the size it has.
uint32_t stack_used_bytes(void);
uint32_t stack_bytes(void);

#ifdef __cplusplus
}
#endif
