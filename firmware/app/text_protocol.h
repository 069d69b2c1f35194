// The text protocol of MLPerf Tiny; PROTOCOL.md lists it. The texts are those of mlcommons/tiny,
// benchmark/api/internally_implemented.cpp, which a runner may look for: they are not to be changed, misspellings included.
#pragma once

namespace text_protocol {

// Says what a host waits for after a reset, with `trouble` lines (nullptr or "" for none) as errors.
void Boot(const char* clock_error);

// Takes a received byte; answers a command when its end is reached.
void Receive(char byte);

// Forgets a command that was begun.
void Forget();

// Returns whether what runs is to end: Ctrl-C or the beginning of a frame is among the bytes that wait.
bool StopWaits();

}  // namespace text_protocol
