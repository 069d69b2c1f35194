// What a port in ports/ gives to the rest. The numbers of the board come from its header in boards/.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifndef BOARD_HEADER
#error "BOARD_HEADER is not defined: build with `make BOARD=...`, which defines it as \"boards/<board>.h\""
#endif
#include BOARD_HEADER

#ifndef BAUD
#define BAUD BOARD_UART_BAUD
#endif

// How often a sleeping board looks at watchdog and clocks; a fast clock's SysTick has 2^24 cycles.
#define BOARD_SLEEP_MS 10

#ifdef __cplusplus
extern "C" {
#endif

// Starts clocks, counter and serial port at BAUD, received bytes going to serial_received(). Always leaves a working serial
// port; returns the reason if the clock is not BOARD_CLOCK_HZ, NULL if all is well.
const char *board_init(void);

// Sends one byte; waits until the port takes it.
void board_write(char byte);

// Waits until all bytes are sent.
void board_flush(void);

// Changes the serial port's rate once all bytes are sent. False, and nothing changes, if its divider is more than 2 % off.
bool board_set_baud(uint32_t baud);

// The port's interrupt, at BOARD_UART_IRQ: hands every byte to serial_received(), and errors of the line to
// serial_line_error().
void board_serial_interrupt(void);

// Returns a free-running count of ticks, modulo 2^32, of sleep as well.
uint32_t board_ticks(void);

// Sleeps until an interrupt comes, for at most BOARD_SLEEP_MS. Called with interrupts off; see sleep_cycles().
void board_sleep(void);

// Starts the watchdog: unless it is fed within BOARD_WATCHDOG_MS, it restarts the board. It cannot be stopped.
void board_watchdog_start(void);
void board_watchdog_feed(void);

// Returns whether the last reset was the watchdog's, and forgets it.
bool board_reset_by_watchdog(void);

// A falling edge on the timestamp pin of MLPerf Tiny's energy mode, low for at least 1 us; nothing on a board without one.
void board_timestamp_edge(void);

// Ends the program once all bytes are sent: the emulator exits with `status`, a board restarts.
void board_exit(int status) __attribute__((noreturn));

// serial.c: what the interrupt calls.
void serial_received(uint8_t byte);
void serial_line_error(void);

// startup.c: restarts the core (AIRCR.SYSRESETREQ, or what a port has instead) once all bytes are sent; the deepest use of
// the stack since reset, in bytes, and the size it has.
void restart(void) __attribute__((noreturn));
uint32_t stack_used_bytes(void);
uint32_t stack_bytes(void);

#ifdef __cplusplus
}
#endif
