// RP2350, the first of its Cortex-M33 cores, in Secure state as the boot ROM starts it. Chapters are those of Raspberry Pi's
// RP2350 datasheet.

#include "ports/rp2350.h"

#include <stddef.h>

#include "board.h"

#if BOARD_UART != 0
#error "BOARD_UART is not 0: this port drives UART0; add the other's base, reset bit and function of its pins here"
#endif

// The limits of the datasheet's chapters on XOSC and PLL.
_Static_assert(BOARD_XOSC_HZ >= 1000000 && BOARD_XOSC_HZ <= 15000000, "XOSC: 1 to 15 MHz");
_Static_assert(BOARD_XOSC_HZ % 1000000 == 0, "the watchdog counts whole MHz of XOSC");
_Static_assert(BOARD_XOSC_HZ / BOARD_PLL_REFDIV >= 5000000, "PLL input: at least 5 MHz");
_Static_assert(BOARD_PLL_FBDIV >= 16 && BOARD_PLL_FBDIV <= 320, "PLL: FBDIV is 16 to 320");
_Static_assert(BOARD_XOSC_HZ / BOARD_PLL_REFDIV * BOARD_PLL_FBDIV >= 750000000 &&
                   BOARD_XOSC_HZ / BOARD_PLL_REFDIV * BOARD_PLL_FBDIV <= 1600000000,
               "PLL output before its dividers: 750 to 1600 MHz");
_Static_assert(BOARD_PLL_POSTDIV1 >= BOARD_PLL_POSTDIV2 && BOARD_PLL_POSTDIV1 <= 7 && BOARD_PLL_POSTDIV2 >= 1,
               "PLL: 7 >= POSTDIV1 >= POSTDIV2 >= 1");
_Static_assert(BOARD_XOSC_HZ / BOARD_PLL_REFDIV * BOARD_PLL_FBDIV / (BOARD_PLL_POSTDIV1 * BOARD_PLL_POSTDIV2) ==
                   BOARD_CLOCK_HZ,
               "BOARD_CLOCK_HZ is not XOSC / REFDIV * FBDIV / (POSTDIV1 * POSTDIV2)");
_Static_assert(BOARD_CLOCK_HZ <= 150000000, "RP2350: at most 150 MHz");
_Static_assert(BOARD_UART_CLOCK_HZ == BOARD_CLOCK_HZ, "BOARD_UART_CLOCK_HZ is not that of the core, undivided here");
_Static_assert(BOARD_WATCHDOG_MS >= 1 && BOARD_WATCHDOG_MS <= 16777, "BOARD_WATCHDOG_MS: 1 to 16777");

enum {
    kTimeout = 2000000,            // turns of a wait loop: 0.5 s and more
    kRingOscillatorHz = 11000000,  // what the core runs from after a reset, more or less: 4.6 to 19.6 MHz
    kDividerMin = 64,              // the serial port's divider has 16 bits and 6 behind the point
    kDividerMax = 0xFFFF * 64,
};

// RP2350, the boot ROM's metadata: a loop of one block, which says that this is a program for a Cortex-M33 of the RP2350 in
// Secure state. It has to be in the first 4 KiB; the vectors are at the very beginning, since it names no other place.
const uint32_t boot_block[] __attribute__((section(".vectors.boot"), used)) = {
    0xFFFFDED3,  // begins
    0x10210142,  // an item of one word: what kind of image
    0x000001FF,  // the last item: they are one word together
    0x00000000,  // the next block is this one
    0xAB123579,  // ends
};

static uint32_t uart_clock_hz;

static bool wait_for(volatile uint32_t *status, uint32_t bits) {
    for (int turn = 0; turn < kTimeout; ++turn) {
        if ((*status & bits) == bits) {
            return true;
        }
    }
    return false;
}

static bool release(uint32_t peripherals) {
    RESETS_RESET &= ~peripherals;
    return wait_for(&RESETS_RESET_DONE, peripherals);
}

// The delay is 1 ms in units of 256 periods.
static bool start_crystal(void) {
    XOSC_CTRL = XOSC_CTRL_1_15_MHZ;
    XOSC_STARTUP = (BOARD_XOSC_HZ / 1000 + 128) / 256;
    XOSC_CTRL = XOSC_CTRL_1_15_MHZ | XOSC_CTRL_ENABLE;
    if (!wait_for(&XOSC_STATUS, XOSC_STATUS_STABLE)) {
        return false;
    }
    CLK_REF_CTRL = CLK_REF_XOSC;
    return wait_for(&CLK_REF_SELECTED, 1u << CLK_REF_XOSC);
}

static bool start_pll(void) {
    RESETS_RESET |= RESETS_PLL_SYS;
    if (!release(RESETS_PLL_SYS)) {
        return false;
    }
    PLL_CS = BOARD_PLL_REFDIV;
    PLL_FBDIV_INT = BOARD_PLL_FBDIV;
    PLL_PWR &= ~(PLL_PWR_PD | PLL_PWR_VCOPD);
    if (!wait_for(&PLL_CS, PLL_CS_LOCK)) {
        return false;
    }
    PLL_PRIM = BOARD_PLL_POSTDIV1 << 16 | BOARD_PLL_POSTDIV2 << 12;
    PLL_PWR &= ~PLL_PWR_POSTDIVPD;
    return true;
}

// Goes through the crystal's clock: what the core ran from before may be the PLL that is set up here.
static const char *start_clock(void) {
    CLK_SYS_CTRL = CLK_SYS_REF;
    if (!wait_for(&CLK_SYS_SELECTED, 1u << CLK_SYS_REF)) {
        return "the clock does not leave the PLL";
    }
    uart_clock_hz = kRingOscillatorHz;
    if (!start_crystal()) {
        return "the crystal XOSC does not start";
    }
    uart_clock_hz = BOARD_XOSC_HZ;
    if (!start_pll()) {
        return "the PLL does not lock";
    }
    CLK_SYS_CTRL = CLK_SYS_AUX;
    if (!wait_for(&CLK_SYS_SELECTED, 1u << CLK_SYS_AUX)) {
        CLK_SYS_CTRL = CLK_SYS_REF;
        return "the clock does not switch to the PLL";
    }
    uart_clock_hz = BOARD_CLOCK_HZ;
    return NULL;
}

// In 64ths, whatever its error.
static uint32_t nearest_divider(uint32_t baud) { return (uint32_t)(((uint64_t)uart_clock_hz * 4 + baud / 2) / baud); }

static bool is_close(uint32_t divider, uint32_t baud) {
    if (divider < kDividerMin || divider > kDividerMax) {
        return false;
    }
    uint64_t wanted = (uint64_t)uart_clock_hz * 4, found = (uint64_t)divider * baud;
    return (found > wanted ? found - wanted : wanted - found) * 50 <= wanted;
}

// The port takes a divider with the write to LCR_H behind it, and neither while it is on.
static void set_divider(uint32_t divider) {
    UART_CR = 0;
    UART_IBRD = divider >> 6;
    UART_FBRD = divider & 63;
    UART_LCR_H = UART_LCR_H_8N1;
    UART_CR = UART_CR_ON;
}

static void connect_pin(uint32_t pin, uint32_t control) {
    GPIO_CTRL(pin) = control;
    PAD(pin) = PAD_UP;
}

static void start_uart(void) {
    CLK_PERI_CTRL = CLK_PERI_CTRL_ENABLE;
    (void)release(RESETS_IO_BANK0 | RESETS_PADS_BANK0 | RESETS_UART0);
    connect_pin(BOARD_UART_TX_PIN, GPIO_CTRL_UART);
    connect_pin(BOARD_UART_RX_PIN, GPIO_CTRL_UART);
    UART_IFLS = UART_IFLS_RX_EIGHTH;
    UART_IMSC = UART_RECEIVED;
    set_divider(nearest_divider(BAUD));
    NVIC_ISER(BOARD_UART_IRQ) = NVIC_BIT(BOARD_UART_IRQ);
}

static void start_counter(void) {
    DEMCR |= DEMCR_TRCENA;
    DWT_CYCCNT = 0;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
}

const char *board_init(void) {
    const char *clock_error = start_clock();
    start_uart();
    start_counter();
    return clock_error;
}

void board_flush(void) {
    while (UART_FR & UART_FR_BUSY) {
    }
}

void board_write(char byte) {
    while (UART_FR & UART_FR_TXFF) {
    }
    UART_DR = (uint8_t)byte;
}

bool board_set_baud(uint32_t baud) {
    uint32_t divider = nearest_divider(baud == 0 ? 1 : baud);
    if (baud == 0 || !is_close(divider, baud)) {
        return false;
    }
    board_flush();
    set_divider(divider);
    return true;
}

void board_serial_interrupt(void) {
    UART_ICR = UART_RECEIVED;
    while (!(UART_FR & UART_FR_RXFE)) {
        uint32_t received = UART_DR;
        if (received & UART_DR_ERRORS) {
            serial_line_error();
        }
        serial_received((uint8_t)received);
    }
}

uint32_t board_ticks(void) { return DWT_CYCCNT; }

// Whether CYCCNT counts in sleep is up to the debugger, so it is set to what SysTick has counted.
void board_sleep(void) {
    uint32_t before = DWT_CYCCNT;
    DWT_CYCCNT = before + sleep_cycles(BOARD_CLOCK_HZ / 1000 * BOARD_SLEEP_MS);
}

// It counts microseconds of the crystal, and resets all but the oscillators, RAM keeping what it holds. The boot ROM starts
// elsewhere if a debugger has left it a place to.
void board_watchdog_start(void) {
    WATCHDOG_CTRL = 0;
    TICKS_WATCHDOG_CYCLES = BOARD_XOSC_HZ / 1000000;
    TICKS_WATCHDOG_CTRL = 1;
    PSM_WDSEL = PSM_WDSEL_ALL_BUT_OSCILLATORS;
    WATCHDOG_SCRATCH4 = 0;
    board_watchdog_feed();
    WATCHDOG_CTRL = WATCHDOG_CTRL_ENABLE | WATCHDOG_CTRL_PAUSE;
}

void board_watchdog_feed(void) { WATCHDOG_LOAD = BOARD_WATCHDOG_MS * 1000; }

// The register keeps its contents until the next reset; what restart() does is another bit of it.
bool board_reset_by_watchdog(void) {
    static bool forgotten;
    bool was = !forgotten && (WATCHDOG_REASON & WATCHDOG_REASON_TIMER) != 0;
    forgotten = true;
    return was;
}

static void wait_1us(void) {
    uint32_t before = DWT_CYCCNT;
    while (DWT_CYCCNT - before < BOARD_CLOCK_HZ / 1000000) {
    }
}

// The pin is an output from the first edge on: without energy mode, whatever is plugged in there is left alone.
void board_timestamp_edge(void) {
    connect_pin(BOARD_TIMESTAMP_PIN, GPIO_CTRL_NULL | GPIO_CTRL_OUTPUT | GPIO_CTRL_HIGH);
    wait_1us();
    GPIO_CTRL(BOARD_TIMESTAMP_PIN) = GPIO_CTRL_NULL | GPIO_CTRL_OUTPUT | GPIO_CTRL_LOW;
    wait_1us();
    GPIO_CTRL(BOARD_TIMESTAMP_PIN) = GPIO_CTRL_NULL | GPIO_CTRL_OUTPUT | GPIO_CTRL_HIGH;
}

// SYSRESETREQ resets the core alone here, and leaves clocks and serial port as they are.
void restart(void) {
    board_flush();
    PSM_WDSEL = PSM_WDSEL_ALL_BUT_OSCILLATORS;
    WATCHDOG_SCRATCH4 = 0;
    WATCHDOG_CTRL = WATCHDOG_CTRL_TRIGGER;
    for (;;) {
    }
}

// A board has nowhere to exit to. The status is the last line on the serial port.
void board_exit(int status) {
    (void)status;
    restart();
}
