// Runs the port of the RP2350 on this machine, its registers words of a table. BROKEN names what does not happen.
// test_rp2350_port.py compiles it with the port, and reads what it prints.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ports/rp2350.c"

static uint32_t addresses[64], words[64];
static unsigned used;
static char fifo[32];
static unsigned waiting;

static uint32_t *word_at(uint32_t address) {
    for (unsigned i = 0; i < used; ++i) {
        if (addresses[i] == address) {
            return &words[i];
        }
    }
    addresses[used] = address;
    return &words[used++];
}

static void set(uint32_t address, uint32_t bits, bool to, const char *name) {
    if (to && strcmp(name, BROKEN) != 0) {
        *word_at(address) |= bits;
    } else {
        *word_at(address) &= ~bits;
    }
}

// What the hardware does between two accesses. Peripherals come out of reset one by one; a clock that is selected tells it.
volatile uint32_t *model_register(uint32_t address) {
    *word_at(0x40020008) = ~*word_at(0x40020000);
    set(0x40048004, 1u << 31, *word_at(0x40048000) == (0xFAB000 | 0xAA0), "crystal");
    *word_at(0x40010038) = 1u << (*word_at(0x40010030) & 3);
    set(0x40050000, 1u << 31, !(*word_at(0x40050004) & 0x21), "PLL does not lock");
    *word_at(0x40010044) = strcmp(BROKEN, "does not switch") == 0 ? 1 : 1u << (*word_at(0x4001003C) & 1);
    *word_at(0x40070018) = waiting == 0 ? 1u << 4 : 0;  // never busy, never full
    *word_at(0xE000E010) |= (*word_at(0xE000E010) & 7) == 7 ? 1u << 16 : 0;  // SysTick has counted to 0
    *word_at(0xE0001004) += 100;  // CYCCNT
    if (address == 0x40070000 && waiting > 0) {
        --waiting;
        *word_at(address) = (uint8_t)fifo[waiting] | (fifo[waiting] == 'e' ? 1u << 8 : 0);  // a framing error
    }
    return word_at(address);
}

void serial_received(uint8_t byte) { printf("received %c\n", byte); }
void serial_line_error(void) { printf("line error\n"); }

static void dump(const char *when) {
    for (unsigned i = 0; i < used; ++i) {
        printf("%s %08x %08x\n", when, (unsigned)addresses[i], (unsigned)words[i]);
    }
}

int main(void) {
    static const uint32_t kRates[] = {0, 100, 9600, 115200, 921600, 100000000};
    *word_at(0x40020000) = 0x1FFFFFFF;  // all in reset
    *word_at(0x40050004) = 0x2D;        // the PLL without power
    const char *error = board_init();
    printf("error %s\n", error == NULL ? "" : error);
    dump("init");
    for (unsigned i = 0; i < sizeof kRates / sizeof *kRates; ++i) {
        bool taken = board_set_baud(kRates[i]);
        printf("baud %u %d %u\n", (unsigned)kRates[i], taken, (unsigned)(UART_IBRD * 64 + UART_FBRD));
    }
    DWT_CYCCNT = 0;
    board_sleep();
    printf("slept %u, SysTick %u\n", (unsigned)DWT_CYCCNT, (unsigned)SYST_CSR & 1);
    memcpy(fifo, "cea", waiting = 3);
    board_serial_interrupt();
    WATCHDOG_REASON = REASON;
    printf("reset by watchdog %d", board_reset_by_watchdog());
    printf(" %d\n", board_reset_by_watchdog());
    board_watchdog_start();
    board_timestamp_edge();
    dump("end");
    WATCHDOG_LOAD = 1;
    board_watchdog_feed();
    printf("fed %u\n", (unsigned)WATCHDOG_LOAD);
}
