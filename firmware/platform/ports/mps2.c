// MPS2 FPGA boards under QEMU. UART, timer and watchdog are those of Arm's Cortex-M System Design Kit (DDI0479).

#include "board.h"
#include "cortex_m.h"
#include "serial.h"

#define UART_DATA REGISTER(BOARD_UART_BASE + 0x00)
#define UART_STATE REGISTER(BOARD_UART_BASE + 0x04)
#define UART_CTRL REGISTER(BOARD_UART_BASE + 0x08)
#define UART_INTCLEAR REGISTER(BOARD_UART_BASE + 0x0C)
#define UART_BAUDDIV REGISTER(BOARD_UART_BASE + 0x10)
#define UART_TX_FULL (1u << 0)
#define UART_RX_FULL (1u << 1)
#define UART_RX_OVERRUN (1u << 3)
#define UART_TX_ENABLE (1u << 0)
#define UART_RX_ENABLE (1u << 1)
#define UART_RX_INTERRUPT_ENABLE (1u << 3)
#define UART_RX_INTERRUPT (1u << 1)

#define TIMER_CTRL REGISTER(BOARD_TIMER_BASE + 0x00)
#define TIMER_VALUE REGISTER(BOARD_TIMER_BASE + 0x04)  // counts down at BOARD_CLOCK_HZ
#define TIMER_RELOAD REGISTER(BOARD_TIMER_BASE + 0x08)
#define TIMER_ENABLE (1u << 0)

// Counts down twice: at the first zero it raises the NMI, at the second it resets the board.
#define WATCHDOG_LOAD REGISTER(BOARD_WATCHDOG_BASE + 0x00)
#define WATCHDOG_CONTROL REGISTER(BOARD_WATCHDOG_BASE + 0x08)
#define WATCHDOG_INTCLR REGISTER(BOARD_WATCHDOG_BASE + 0x0C)
#define WATCHDOG_LOCK REGISTER(BOARD_WATCHDOG_BASE + 0xC00)
#define WATCHDOG_INTERRUPT_ENABLE (1u << 0)
#define WATCHDOG_RESET_ENABLE (1u << 1)
#define WATCHDOG_KEY 0x1ACCE551u

_Static_assert(BOARD_CLOCK_HZ / BOARD_UART_BAUD >= 16, "CMSDK UART: BAUDDIV is at least 16");
_Static_assert(BOARD_UART == 0, "this port drives CMSDK UART 0");

// No register tells the cause of a reset here, so the NMI before it leaves a note in RAM.
static uint32_t watchdog_note __attribute__((section(".noinit")));
static const uint32_t kResetByWatchdog = 0xbadd09;

void nmi(void) __attribute__((noreturn));

void nmi(void) {
    watchdog_note = kResetByWatchdog;
    for (;;) {
    }
}

const char *board_init(void) {
    board_set_baud(BAUD);
    UART_CTRL = UART_TX_ENABLE | UART_RX_ENABLE | UART_RX_INTERRUPT_ENABLE;
    NVIC_ISER(BOARD_UART_IRQ) = NVIC_BIT(BOARD_UART_IRQ);
    TIMER_RELOAD = 0xFFFFFFFF;
    TIMER_VALUE = 0xFFFFFFFF;
    TIMER_CTRL = TIMER_ENABLE;
    return 0;
}

void board_flush(void) {
    while (UART_STATE & UART_TX_FULL) {
    }
}

void board_write(char byte) {
    board_flush();
    UART_DATA = (uint8_t)byte;
}

// QEMU takes any divider of the register and sends as fast as it can.
bool board_set_baud(uint32_t baud) {
    uint32_t divider = baud > BOARD_CLOCK_HZ / 16 ? 0 : BOARD_CLOCK_HZ / baud;
    if (divider < 16) {
        return false;
    }
    board_flush();
    UART_BAUDDIV = divider;
    return true;
}

// The emulator sends a byte as soon as the one before is taken, a thousand times faster than a line does. It waits while one
// is not, so a full ring holds it back in place of losing bytes.
void board_serial_interrupt(void) {
    UART_INTCLEAR = UART_RX_INTERRUPT;
    if (UART_STATE & UART_RX_OVERRUN) {
        UART_STATE = UART_RX_OVERRUN;
        serial_line_error();
    }
    if (serial_room() == 0) {
        NVIC_ICER(BOARD_UART_IRQ) = NVIC_BIT(BOARD_UART_IRQ);
    } else if (UART_STATE & UART_RX_FULL) {
        serial_received((uint8_t)UART_DATA);
    }
}

// The interrupt that was cleared does not come again for the byte that was left, so it is taken here.
void serial_resume(void) {
    if (NVIC_ISER(BOARD_UART_IRQ) & NVIC_BIT(BOARD_UART_IRQ)) {
        return;
    }
    if (UART_STATE & UART_RX_FULL) {
        serial_received((uint8_t)UART_DATA);
    }
    NVIC_ISER(BOARD_UART_IRQ) = NVIC_BIT(BOARD_UART_IRQ);
}

// While the core sleeps, QEMU sleeps too, and its virtual time goes on with the host's (-icount sleep=on).
// Where QEMU itself waits for its turn, that time jumps by seconds: the watchdog is for a core that runs, and rests.
void board_sleep(void) {
    WATCHDOG_CONTROL = 0;
    sleep_cycles(BOARD_CLOCK_HZ / 1000 * BOARD_SLEEP_MS);
    board_watchdog_feed();
    WATCHDOG_CONTROL = WATCHDOG_INTERRUPT_ENABLE | WATCHDOG_RESET_ENABLE;
}

uint32_t board_ticks(void) { return 0xFFFFFFFF - TIMER_VALUE; }

void board_watchdog_start(void) {
    WATCHDOG_LOCK = WATCHDOG_KEY;
    WATCHDOG_LOAD = BOARD_CLOCK_HZ / 1000 * BOARD_WATCHDOG_MS;
    WATCHDOG_CONTROL = WATCHDOG_INTERRUPT_ENABLE | WATCHDOG_RESET_ENABLE;
}

void board_watchdog_feed(void) { WATCHDOG_INTCLR = 1; }

bool board_reset_by_watchdog(void) {
    bool reset_by_watchdog = watchdog_note == kResetByWatchdog;
    watchdog_note = 0;
    return reset_by_watchdog;
}

void board_timestamp_edge(void) {}

// Semihosting (Arm IHI 0100, 5.10): SYS_EXIT_EXTENDED, ADP_Stopped_ApplicationExit and the status.
void board_exit(int status) {
    const uint32_t block[] = {0x20026, (uint32_t)status};
    board_flush();
    register uint32_t operation __asm("r0") = 0x20;
    register const uint32_t *argument __asm("r1") = block;
    __asm volatile("bkpt 0xAB" ::"r"(operation), "r"(argument) : "memory");
    for (;;) {
    }
}
