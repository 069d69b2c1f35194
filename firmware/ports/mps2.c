// MPS2 FPGA boards under QEMU. UART and timer are those of Arm's Cortex-M System Design Kit (DDI0479).

#include "board.h"
#include "cortex_m.h"

#define UART_DATA REGISTER(0x40004000)
#define UART_STATE REGISTER(0x40004004)  // bit 0: transmit buffer full
#define UART_CTRL REGISTER(0x40004008)
#define UART_BAUDDIV REGISTER(0x40004010)
#define UART_TX_FULL (1u << 0)
#define UART_TX_ENABLE (1u << 0)

#define TIMER_CTRL REGISTER(0x40000000)
#define TIMER_VALUE REGISTER(0x40000004)  // counts down at BOARD_CLOCK_HZ
#define TIMER_RELOAD REGISTER(0x40000008)
#define TIMER_ENABLE (1u << 0)

_Static_assert(BOARD_CLOCK_HZ / BOARD_UART_BAUD >= 16, "CMSDK UART: BAUDDIV is at least 16");
_Static_assert(BOARD_UART == 0, "this port drives CMSDK UART 0");

const char *board_init(void) {
    UART_BAUDDIV = BOARD_CLOCK_HZ / BOARD_UART_BAUD;
    UART_CTRL = UART_TX_ENABLE;
    TIMER_RELOAD = 0xFFFFFFFF;
    TIMER_VALUE = 0xFFFFFFFF;
    TIMER_CTRL = TIMER_ENABLE;
    return 0;
}

static void wait_until_sent(void) {
    while (UART_STATE & UART_TX_FULL) {
    }
}

void board_write(char byte) {
    wait_until_sent();
    UART_DATA = (uint8_t)byte;
}

uint32_t board_ticks(void) { return 0xFFFFFFFF - TIMER_VALUE; }

// Semihosting (Arm IHI 0100, 5.10): SYS_EXIT_EXTENDED, ADP_Stopped_ApplicationExit and the status.
void board_exit(int status) {
    const uint32_t block[] = {0x20026, (uint32_t)status};
    wait_until_sent();
    register uint32_t operation __asm("r0") = 0x20;
    register const uint32_t *argument __asm("r1") = block;
    __asm volatile("bkpt 0xAB" ::"r"(operation), "r"(argument) : "memory");
    for (;;) {
    }
}
