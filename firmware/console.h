// Text on the serial port without printf, which would bring 10 KB and more of newlib.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void print(const char *text);            // "\n" is sent as "\r\n"
void print_unsigned(uint32_t number);    // decimal
void print_hex(uint32_t number);         // 0x and eight digits

#ifdef __cplusplus
}
#endif
