// What arrives on the serial port: taken by the port's interrupt, kept in a ring, read by the main loop.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Returns the next received byte, or -1 if there is none.
int serial_read(void);

// Sleeps unless there is a byte to read: until one comes, or for at most BOARD_SLEEP_MS.
void serial_sleep(void);

// Returns whether `byte` is among those that were received and not read.
bool serial_holds(uint8_t byte);

// Returns how many more bytes the ring takes.
uint32_t serial_room(void);

// Bytes that found no room, and errors of the line that the port saw, since reset.
uint32_t serial_lost_bytes(void);
uint32_t serial_line_errors(void);

// Called when serial_read() has made room again. Does nothing, unless a port defines it whose sender can be held back.
void serial_resume(void);

#ifdef __cplusplus
}
#endif
