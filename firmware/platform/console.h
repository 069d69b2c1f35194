// Text on the serial port, without printf.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { kUnsignedDigits = 11 };  // 4294967295 and the terminator

// Writes `text`; each "\n" as "\r\n", which terminals want.
void print(const char *text);

void print_unsigned(uint32_t number);
void print_hex(uint32_t number);  // 0x and 8 digits

// Returns the decimal digits of `number`, which stand at the end of `digits`.
const char *unsigned_text(uint32_t number, char digits[kUnsignedDigits]);

#ifdef __cplusplus
}
#endif
