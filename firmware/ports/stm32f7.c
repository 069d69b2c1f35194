// STM32F74x and F75x. Sections are those of RM0385, ST's reference manual, whose register names are used.

#include <stddef.h>

#include "board.h"
#include "cortex_m.h"

// 5.3 RCC, reset and clock control
#define RCC_CR REGISTER(0x40023800)        // 5.3.1
#define RCC_PLLCFGR REGISTER(0x40023804)   // 5.3.2
#define RCC_CFGR REGISTER(0x40023808)      // 5.3.3
#define RCC_AHB1ENR REGISTER(0x40023830)   // 5.3.10
#define RCC_APB1ENR REGISTER(0x40023840)   // 5.3.13
#define RCC_APB2ENR REGISTER(0x40023844)   // 5.3.14
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_PLLCFGR_PLLSRC_HSE (1u << 22)
#define RCC_PLLCFGR_RESERVED (0x2u << 28)  // 31:28 keep their reset value
#define RCC_PLLCFGR_Q(q) ((uint32_t)(q) << 24)
#define RCC_CFGR_SW_PLL (2u << 0)
#define RCC_CFGR_SWS_MASK (3u << 2)
#define RCC_CFGR_SWS_PLL (2u << 2)
#define RCC_CFGR_PPRE_MASK (63u << 10)  // PPRE1 and PPRE2
#define RCC_APB1ENR_PWREN (1u << 28)

// 4.4 PWR, power controller
#define PWR_CR1 REGISTER(0x40007000)   // 4.4.1
#define PWR_CSR1 REGISTER(0x40007004)  // 4.4.2
#define PWR_CR1_VOS_SCALE_1 (3u << 14)
#define PWR_CR1_ODEN (1u << 16)
#define PWR_CR1_ODSWEN (1u << 17)
#define PWR_CSR1_ODRDY (1u << 16)
#define PWR_CSR1_ODSWRDY (1u << 17)

// 3.7.1 FLASH_ACR
#define FLASH_ACR REGISTER(0x40023C00)
#define FLASH_ACR_LATENCY_MASK 15u
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ARTEN (1u << 9)

// 6.4 GPIO: ports follow each other at 0x400, as their enable bits do in RCC_AHB1ENR
#define GPIO_BASE(port) (0x40020000u + 0x400u * (uint32_t)((port) - 'A'))
#define GPIO_MODER(port) REGISTER(GPIO_BASE(port) + 0x00)             // 6.4.1
#define GPIO_OSPEEDR(port) REGISTER(GPIO_BASE(port) + 0x08)           // 6.4.3
#define GPIO_PUPDR(port) REGISTER(GPIO_BASE(port) + 0x0C)             // 6.4.4
#define GPIO_AFR(port, pin) REGISTER(GPIO_BASE(port) + 0x20 + (pin) / 8 * 4)  // 6.4.9, 6.4.10

// 31.8 USART, whose clock is its APB's after reset
#if BOARD_UART == 1
#define USART_BASE 0x40011000u
#define USART_CLOCK_HZ (BOARD_CLOCK_HZ / BOARD_APB2_DIVIDER)
#define USART_APB_DIVIDER BOARD_APB2_DIVIDER
#define USART_ENABLE() (RCC_APB2ENR |= 1u << 4, (void)RCC_APB2ENR)
#elif BOARD_UART == 3
#define USART_BASE 0x40004800u
#define USART_CLOCK_HZ (BOARD_CLOCK_HZ / BOARD_APB1_DIVIDER)
#define USART_APB_DIVIDER BOARD_APB1_DIVIDER
#define USART_ENABLE() (RCC_APB1ENR |= 1u << 18, (void)RCC_APB1ENR)
#else
#error "BOARD_UART is neither 1 nor 3: add its base, clock and enable bit here"
#endif
#define USART_CR1 REGISTER(USART_BASE + 0x00)  // 31.8.1
#define USART_BRR REGISTER(USART_BASE + 0x0C)  // 31.8.4
#define USART_ISR REGISTER(USART_BASE + 0x1C)  // 31.8.8
#define USART_TDR REGISTER(USART_BASE + 0x28)  // 31.8.11
#define USART_CR1_UE (1u << 0)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_ISR_TC (1u << 6)
#define USART_ISR_TXE (1u << 7)

// The arithmetic of the clock, checked against the limits of RM0385 5.3.2 and DS10916, general operating conditions.
_Static_assert(BOARD_HSE_HZ / BOARD_PLL_M >= 1000000 && BOARD_HSE_HZ / BOARD_PLL_M <= 2000000, "PLL input: 1 to 2 MHz");
_Static_assert(BOARD_HSE_HZ / BOARD_PLL_M * BOARD_PLL_N <= 432000000, "PLL output before P: at most 432 MHz");
_Static_assert(BOARD_HSE_HZ / BOARD_PLL_M * BOARD_PLL_N / BOARD_PLL_P == BOARD_CLOCK_HZ,
               "BOARD_CLOCK_HZ is not HSE / M * N / P");
_Static_assert(BOARD_CLOCK_HZ <= 216000000, "core: at most 216 MHz");
_Static_assert(BOARD_CLOCK_HZ / BOARD_APB1_DIVIDER <= 54000000, "APB1: at most 54 MHz");
_Static_assert(BOARD_CLOCK_HZ / BOARD_APB2_DIVIDER <= 108000000, "APB2: at most 108 MHz");
_Static_assert(BOARD_FLASH_WAIT_STATES >= (BOARD_CLOCK_HZ - 1) / 30000000, "3.3.2: a wait state for each 30 MHz");

enum {
    kHsiHz = 16000000,  // the clock after reset, 5.2.2
    kPllQ = 9,          // 48 MHz for USB and RNG, which nothing here uses; 0 and 1 are not allowed
    kTimeout = 2000000, // turns of a wait loop, more than 0.1 s; the crystal, slowest to start, takes 2 ms (DS10916)
};

static bool wait_for(volatile uint32_t *status, uint32_t bits) {
    for (int turn = 0; turn < kTimeout; ++turn) {
        if ((*status & bits) == bits) {
            return true;
        }
    }
    return false;
}

// 5.3.3: 1, 2, 4, 8, 16 are 0, 4, 5, 6, 7 in PPRE1 and PPRE2.
static uint32_t apb_bits(uint32_t divider) { return divider == 1 ? 0 : 3u + (uint32_t)__builtin_ctz(divider); }

// 3.3.2: the ART accelerator and prefetch serve the flash's ITCM port. Code here runs from the AXI port, through the
// caches; what is fetched through the alias at 0x00200000, as the vectors after reset are, gains.
static bool set_flash_wait_states(void) {
    FLASH_ACR = BOARD_FLASH_WAIT_STATES | FLASH_ACR_PRFTEN | FLASH_ACR_ARTEN;
    return (FLASH_ACR & FLASH_ACR_LATENCY_MASK) == BOARD_FLASH_WAIT_STATES;
}

// 4.1.4, "Entering Over-drive mode": PLL on, over-drive on, wait states and prescalers, PLL locked, switch.
static const char *start_clock(void) {
    RCC_APB1ENR |= RCC_APB1ENR_PWREN;
    (void)RCC_APB1ENR;  // an enabled peripheral needs two cycles before it is used (5.2)
    PWR_CR1 |= PWR_CR1_VOS_SCALE_1;
    RCC_CR |= BOARD_HSE_BYPASS ? RCC_CR_HSEBYP : 0;  // 5.3.1: can be written only while HSE is off
    RCC_CR |= RCC_CR_HSEON;
    if (!wait_for(&RCC_CR, RCC_CR_HSERDY)) {
        return "the HSE oscillator does not start";
    }
    RCC_PLLCFGR = RCC_PLLCFGR_RESERVED | RCC_PLLCFGR_Q(kPllQ) | RCC_PLLCFGR_PLLSRC_HSE |
                  ((BOARD_PLL_P / 2 - 1) << 16) | (BOARD_PLL_N << 6) | BOARD_PLL_M;
    RCC_CR |= RCC_CR_PLLON;
    PWR_CR1 |= PWR_CR1_ODEN;
    if (!wait_for(&PWR_CSR1, PWR_CSR1_ODRDY)) {
        return "over-drive does not start";
    }
    PWR_CR1 |= PWR_CR1_ODSWEN;
    if (!wait_for(&PWR_CSR1, PWR_CSR1_ODSWRDY)) {
        return "over-drive does not switch";
    }
    if (!set_flash_wait_states()) {
        return "the flash does not take its wait states";
    }
    RCC_CFGR = (apb_bits(BOARD_APB1_DIVIDER) << 10) | (apb_bits(BOARD_APB2_DIVIDER) << 13);
    if (!wait_for(&RCC_CR, RCC_CR_PLLRDY)) {
        return "the PLL does not lock";
    }
    RCC_CFGR |= RCC_CFGR_SW_PLL;
    return wait_for(&RCC_CFGR, RCC_CFGR_SWS_PLL) ? NULL : "the clock does not switch to the PLL";
}

// 6.3.2: alternate function, high speed, pulled up so that an open line reads idle.
static void connect_pin(char port, uint32_t pin, uint32_t function) {
    RCC_AHB1ENR |= 1u << (port - 'A');
    (void)RCC_AHB1ENR;
    GPIO_AFR(port, pin) = (GPIO_AFR(port, pin) & ~(15u << (pin % 8 * 4))) | function << (pin % 8 * 4);
    GPIO_OSPEEDR(port) |= 2u << (pin * 2);
    GPIO_PUPDR(port) = (GPIO_PUPDR(port) & ~(3u << (pin * 2))) | 1u << (pin * 2);
    GPIO_MODER(port) = (GPIO_MODER(port) & ~(3u << (pin * 2))) | 2u << (pin * 2);
}

// 31.5.4: oversampling by 16, so BRR is the peripheral's clock over the baud rate.
static void start_uart(uint32_t clock_hz) {
    connect_pin(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN, BOARD_UART_TX_FUNCTION);
    connect_pin(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN, BOARD_UART_RX_FUNCTION);
    USART_ENABLE();
    USART_BRR = (clock_hz + BOARD_UART_BAUD / 2) / BOARD_UART_BAUD;
    USART_CR1 = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE;
}

static void start_counter(void) {
    DEMCR |= DEMCR_TRCENA;
    DWT_LAR = DWT_LAR_KEY;
    DWT_CYCCNT = 0;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
}

// A clock that failed leaves the core on HSI; the APB prescalers may be set already, so the real ones are asked.
static uint32_t uart_clock_hz(const char *clock_error) {
    if (clock_error == NULL) {
        return USART_CLOCK_HZ;
    }
    bool prescaled = (RCC_CFGR & RCC_CFGR_PPRE_MASK) != 0;
    return prescaled ? kHsiHz / USART_APB_DIVIDER : kHsiHz;
}

const char *board_init(void) {
    const char *clock_error = start_clock();
    start_uart(uart_clock_hz(clock_error));
    start_counter();
    return clock_error;
}

void board_write(char byte) {
    while (!(USART_ISR & USART_ISR_TXE)) {
    }
    USART_TDR = (uint8_t)byte;
}

uint32_t board_ticks(void) { return DWT_CYCCNT; }

// A board has nowhere to exit to: it sends what is left and sleeps. The status is the last line on the serial port.
void board_exit(int status) {
    (void)status;
    while (!(USART_ISR & USART_ISR_TC)) {
    }
    for (;;) {
        __asm volatile("wfi");
    }
}
