#include "console.h"

#include "board.h"

void print(const char *text) {
    for (; *text != '\0'; ++text) {
        if (*text == '\n') {
            board_write('\r');
        }
        board_write(*text);
    }
}

void print_unsigned(uint32_t number) {
    char digits[11];  // 4294967295 and the terminator
    char *first = &digits[sizeof digits - 1];
    *first = '\0';
    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    print(first);
}

void print_hex(uint32_t number) {
    print("0x");
    for (int shift = 28; shift >= 0; shift -= 4) {
        board_write("0123456789abcdef"[(number >> shift) & 15]);
    }
}
