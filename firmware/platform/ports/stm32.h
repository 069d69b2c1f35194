// What the STM32 families have in common: pins, serial port, watchdog and cycle counter, and with them every function of
// board.h. A family's file defines what differs, then includes this one, once:
//
// GPIOA_BASE, RCC_GPIOENR     the first port of pins; the register whose bits enable the ports, in their order
// USART_BASE, USART_ENABLE()  the serial port, and how its clock is enabled
// USART_IS_OLD                1: the register block of the F4; else that of the F7, H7 and L4
// UART_STEPS                  steps of the divider in one clock period: 1, or 256 for a LPUART
// RESET_UART_CLOCK_HZ         the serial port's clock as a reset leaves it
// IWDG_BASE                   the independent watchdog
// RCC_RESETS, its _IWDG, _FORGET   the register that holds the causes of the last reset, and its two bits
//
// and start_clock() and reset_clock() below.
#pragma once

#include <stddef.h>

#include "board.h"
#include "cortex_m.h"

// Brings the core to BOARD_CLOCK_HZ; returns the reason where that fails, else NULL.
static const char *start_clock(void);

// Goes back to the clock that a reset leaves, after start_clock() has failed.
static void reset_clock(void);

// GPIO: ports follow each other at 0x400.
#define GPIO_BASE(port) (GPIOA_BASE + 0x400u * (uint32_t)((port) - 'A'))
#define GPIO_MODER(port) REGISTER(GPIO_BASE(port) + 0x00)
#define GPIO_OSPEEDR(port) REGISTER(GPIO_BASE(port) + 0x08)
#define GPIO_PUPDR(port) REGISTER(GPIO_BASE(port) + 0x0C)
#define GPIO_BSRR(port) REGISTER(GPIO_BASE(port) + 0x18)  // 15:0 set a pin, 31:16 reset it
#define GPIO_AFR(port, pin) REGISTER(GPIO_BASE(port) + 0x20 + (pin) / 8 * 4)
#define GPIO_MODER_OUTPUT 1u
#define GPIO_MODER_ALTERNATE 2u
#define GPIO_OSPEEDR_HIGH 2u
#define GPIO_PUPDR_UP 1u

// USART: the status has the same bits in both register blocks, and an error is cleared in the newer one by the same bit
// of ICR, in the older one by reading the status and then the data.
#if USART_IS_OLD
#define USART_SR REGISTER(USART_BASE + 0x00)
#define USART_RDR REGISTER(USART_BASE + 0x04)  // both are called DR there
#define USART_TDR REGISTER(USART_BASE + 0x04)
#define USART_BRR REGISTER(USART_BASE + 0x08)
#define USART_CR1 REGISTER(USART_BASE + 0x0C)
#define USART_CR1_UE (1u << 13)
#else
#define USART_CR1 REGISTER(USART_BASE + 0x00)
#define USART_BRR REGISTER(USART_BASE + 0x0C)
#define USART_SR REGISTER(USART_BASE + 0x1C)  // called ISR there
#define USART_ICR REGISTER(USART_BASE + 0x20)
#define USART_RDR REGISTER(USART_BASE + 0x24)
#define USART_TDR REGISTER(USART_BASE + 0x28)
#define USART_PRESC REGISTER(USART_BASE + 0x2C)  // of H7 and L4+
#define USART_PRESC_4 2u
#define USART_CR1_UE (1u << 0)
#endif
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_SR_ERRORS 15u  // parity, framing, noise, overrun
#define USART_SR_RXNE (1u << 5)
#define USART_SR_TC (1u << 6)
#define USART_SR_TXE (1u << 7)

#define IWDG_KR REGISTER(IWDG_BASE + 0x00)
#define IWDG_PR REGISTER(IWDG_BASE + 0x04)
#define IWDG_RLR REGISTER(IWDG_BASE + 0x08)
#define IWDG_SR REGISTER(IWDG_BASE + 0x0C)
#define IWDG_KR_FEED 0xAAAAu
#define IWDG_KR_UNLOCK 0x5555u
#define IWDG_KR_START 0xCCCCu
#define IWDG_PR_64 4u

enum {
    kTimeout = 2000000,         // turns of a wait loop: 0.2 s and more at the clock of a reset, 4 s at the 4 MHz of the L4
    kWatchdogTickMs = 2,        // 64 periods of LSI, which has about 32 kHz; of a single MCU, from 17 to 47 kHz
    kLpuartDividerMin = 0x300,  // of a LPUART; a USART that samples 16 times has 16 and 16 bits
    kLpuartDividerMax = 0xFFFFF,
    kDividerMin = UART_STEPS > 1 ? kLpuartDividerMin : 16,
    kDividerMax = UART_STEPS > 1 ? kLpuartDividerMax : 0xFFFF,
};

_Static_assert(BOARD_WATCHDOG_MS / kWatchdogTickMs >= 1 && BOARD_WATCHDOG_MS / kWatchdogTickMs <= 4096,
               "BOARD_WATCHDOG_MS: 2 to 8192");

static uint32_t uart_clock_hz;

static bool wait_for(volatile uint32_t *status, uint32_t bits) {
    for (int turn = 0; turn < kTimeout; ++turn) {
        if ((*status & bits) == bits) {
            return true;
        }
    }
    return false;
}

static void set_field(volatile uint32_t *target, uint32_t position, uint32_t bits, uint32_t value) {
    uint32_t mask = (1u << bits) - 1;
    *target = (*target & ~(mask << position)) | value << position;
}

static void enable_port(char port) {
    RCC_GPIOENR |= 1u << (port - 'A');
    (void)RCC_GPIOENR;  // an enabled peripheral needs two cycles before it is used
}

// Alternate function, high speed, pulled up so that an open line reads idle.
static void connect_pin(char port, uint32_t pin, uint32_t function) {
    enable_port(port);
    set_field(&GPIO_AFR(port, pin), pin % 8 * 4, 4, function);
    set_field(&GPIO_OSPEEDR(port), pin * 2, 2, GPIO_OSPEEDR_HIGH);
    set_field(&GPIO_PUPDR(port), pin * 2, 2, GPIO_PUPDR_UP);
    set_field(&GPIO_MODER(port), pin * 2, 2, GPIO_MODER_ALTERNATE);
}

typedef struct {
    uint32_t prescaler;  // 1 or 4
    uint32_t value;
} Divider;

// The nearest divider, whatever its error. A LPUART with a fast clock has too few bits for the slow rates, but a prescaler.
static Divider nearest_divider(uint32_t baud) {
    uint64_t steps = (uint64_t)uart_clock_hz * UART_STEPS;
    Divider divider = {1, 0};
    if (UART_STEPS > 1 && steps / kDividerMax >= baud) {
        divider.prescaler = 4;
    }
    divider.value = (uint32_t)((steps / divider.prescaler + baud / 2) / baud);
    return divider;
}

static bool is_close(Divider divider, uint32_t baud) {
    if (divider.value < kDividerMin || divider.value > kDividerMax) {
        return false;
    }
    uint64_t wanted = (uint64_t)uart_clock_hz * UART_STEPS / divider.prescaler;
    uint64_t found = (uint64_t)divider.value * baud;
    return (found > wanted ? found - wanted : wanted - found) * 50 <= wanted;
}

// The registers can be written only while the port is off.
static void set_divider(Divider divider) {
    USART_CR1 = 0;
#if UART_STEPS > 1
    USART_PRESC = divider.prescaler == 4 ? USART_PRESC_4 : 0;
#endif
    USART_BRR = divider.value;
    USART_CR1 = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE | USART_CR1_RXNEIE;
}

static void start_uart(void) {
    connect_pin(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN, BOARD_UART_TX_FUNCTION);
    connect_pin(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN, BOARD_UART_RX_FUNCTION);
    USART_ENABLE();
    set_divider(nearest_divider(BAUD));
    NVIC_ISER(BOARD_UART_IRQ) = NVIC_BIT(BOARD_UART_IRQ);
}

static void start_counter(void) {
    DEMCR |= DEMCR_TRCENA;
#if BOARD_CACHES
    DWT_LAR = DWT_LAR_KEY;  // the Cortex-M7, which alone has caches here, locks it
#endif
    DWT_CYCCNT = 0;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
}

const char *board_init(void) {
    const char *clock_error = start_clock();
    if (clock_error != NULL) {
        reset_clock();
    }
    uart_clock_hz = clock_error == NULL ? BOARD_UART_CLOCK_HZ : RESET_UART_CLOCK_HZ;
    start_uart();
    start_counter();
    return clock_error;
}

void board_flush(void) {
    while (!(USART_SR & USART_SR_TC)) {
    }
}

void board_write(char byte) {
    while (!(USART_SR & USART_SR_TXE)) {
    }
    USART_TDR = (uint8_t)byte;
}

bool board_set_baud(uint32_t baud) {
    Divider divider = nearest_divider(baud == 0 ? 1 : baud);
    if (baud == 0 || !is_close(divider, baud)) {
        return false;
    }
    board_flush();
    set_divider(divider);
    return true;
}

// The status is read before the data: that order clears an error of the older block, in which an overrun may come without
// a byte.
void board_serial_interrupt(void) {
    uint32_t status = USART_SR;
#if USART_IS_OLD
    uint8_t byte = (uint8_t)USART_RDR;
#else
    USART_ICR = status & USART_SR_ERRORS;
    uint8_t byte = (status & USART_SR_RXNE) ? (uint8_t)USART_RDR : 0;
#endif
    if (status & USART_SR_ERRORS) {
        serial_line_error();
    }
    if (status & USART_SR_RXNE) {
        serial_received(byte);
    }
}

uint32_t board_ticks(void) { return DWT_CYCCNT; }

// WFI with SLEEPDEEP at 0: the core's clock stops, peripherals and SysTick go on, as their clocks' sleep bits are after a
// reset. Whether CYCCNT counts meanwhile is up to the MCU and the debugger, so it is set to what SysTick has counted.
void board_sleep(void) {
    uint32_t before = DWT_CYCCNT;
    DWT_CYCCNT = before + sleep_cycles(BOARD_CLOCK_HZ / 1000 * BOARD_SLEEP_MS);
}

void board_watchdog_start(void) {
    IWDG_KR = IWDG_KR_START;
    IWDG_KR = IWDG_KR_UNLOCK;
    IWDG_PR = IWDG_PR_64;
    IWDG_RLR = BOARD_WATCHDOG_MS / kWatchdogTickMs - 1;
    for (int turn = 0; turn < kTimeout && IWDG_SR != 0; ++turn) {  // both take some periods of LSI
    }
    board_watchdog_feed();
}

void board_watchdog_feed(void) { IWDG_KR = IWDG_KR_FEED; }

bool board_reset_by_watchdog(void) {
    bool was = (RCC_RESETS & RCC_RESETS_IWDG) != 0;
    RCC_RESETS |= RCC_RESETS_FORGET;
    RCC_RESETS &= ~RCC_RESETS_FORGET;  // the H7 keeps it, and would forget the next cause as well
    return was;
}

static void wait_1us(void) {
    uint32_t before = DWT_CYCCNT;
    while (DWT_CYCCNT - before < BOARD_CLOCK_HZ / 1000000) {
    }
}

// The pin is an output from the first edge on: without energy mode, whatever is plugged in there is left alone.
void board_timestamp_edge(void) {
    enable_port(BOARD_TIMESTAMP_PORT);
    GPIO_BSRR(BOARD_TIMESTAMP_PORT) = 1u << BOARD_TIMESTAMP_PIN;
    set_field(&GPIO_MODER(BOARD_TIMESTAMP_PORT), BOARD_TIMESTAMP_PIN * 2, 2, GPIO_MODER_OUTPUT);
    wait_1us();
    GPIO_BSRR(BOARD_TIMESTAMP_PORT) = 1u << (BOARD_TIMESTAMP_PIN + 16);
    wait_1us();
    GPIO_BSRR(BOARD_TIMESTAMP_PORT) = 1u << BOARD_TIMESTAMP_PIN;
}

// A board has nowhere to exit to. The status is the last line on the serial port.
void board_exit(int status) {
    (void)status;
    restart();
}
