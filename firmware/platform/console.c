#include "console.h"

#include "board.h"

// A long answer takes longer than the watchdog waits: at 9600 baud, 4 s are 4 KB.
void print(const char *text) {
    board_watchdog_feed();
    for (; *text != '\0'; ++text) {
        if (*text == '\n') {
            board_write('\r');
        }
        board_write(*text);
    }
}

const char *unsigned_text(uint32_t number, char digits[kUnsignedDigits]) {
    char *first = &digits[kUnsignedDigits - 1];
    *first = '\0';
    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    return first;
}

void print_unsigned(uint32_t number) {
    char digits[kUnsignedDigits];
    print(unsigned_text(number, digits));
}

void print_hex(uint32_t number) {
    print("0x");
    for (int shift = 28; shift >= 0; shift -= 4) {
        board_write("0123456789abcdef"[(number >> shift) & 15]);
    }
}
