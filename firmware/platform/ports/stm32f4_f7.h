// What the STM32F4 and F7 have in common beyond stm32.h: RCC, the flash's register and the addresses. Register names are
// those of ST's reference manuals, RM0368 (STM32F401) and RM0385 (STM32F74x and F75x); the sections, those of RM0385.
#pragma once

#include "board.h"
#include "cortex_m.h"

// 5.3 RCC, reset and clock control
#define RCC_CR REGISTER(0x40023800)       // 5.3.1
#define RCC_PLLCFGR REGISTER(0x40023804)  // 5.3.2
#define RCC_CFGR REGISTER(0x40023808)     // 5.3.3
#define RCC_AHB1ENR REGISTER(0x40023830)  // 5.3.10
#define RCC_APB1ENR REGISTER(0x40023840)  // 5.3.13
#define RCC_APB2ENR REGISTER(0x40023844)  // 5.3.14
#define RCC_CSR REGISTER(0x40023874)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_PLLCFGR_PLLSRC_HSE (1u << 22)
#define RCC_PLLCFGR_RESERVED (0x2u << 28)  // 31:28 keep their reset value
#define RCC_PLLCFGR_Q(q) ((uint32_t)(q) << 24)
#define RCC_CFGR_SW_PLL (2u << 0)
#define RCC_CFGR_SWS_PLL (2u << 2)
#define RCC_APB1ENR_PWREN (1u << 28)
#define RCC_CSR_RMVF (1u << 24)
#define RCC_CSR_IWDGRSTF (1u << 29)

// 3.7.1 FLASH_ACR
#define FLASH_ACR REGISTER(0x40023C00)
#define FLASH_ACR_LATENCY_MASK 15u
#define FLASH_ACR_PRFTEN (1u << 8)

// USART, whose clock is its APB's after reset
#if BOARD_UART == 1
#define USART_BASE 0x40011000u
#define USART_APB_DIVIDER BOARD_APB2_DIVIDER
#define USART_ENABLE() (RCC_APB2ENR |= 1u << 4, (void)RCC_APB2ENR)
#elif BOARD_UART == 2
#define USART_BASE 0x40004400u
#define USART_APB_DIVIDER BOARD_APB1_DIVIDER
#define USART_ENABLE() (RCC_APB1ENR |= 1u << 17, (void)RCC_APB1ENR)
#elif BOARD_UART == 3
#define USART_BASE 0x40004800u
#define USART_APB_DIVIDER BOARD_APB1_DIVIDER
#define USART_ENABLE() (RCC_APB1ENR |= 1u << 18, (void)RCC_APB1ENR)
#else
#error "BOARD_UART is none of 1, 2, 3: add its base, clock and enable bit here"
#endif

#define GPIOA_BASE 0x40020000u
#define RCC_GPIOENR RCC_AHB1ENR
#define UART_STEPS 1
#define RESET_UART_CLOCK_HZ 16000000  // HSI, 5.2.2
#define IWDG_BASE 0x40003000u
#define RCC_RESETS RCC_CSR
#define RCC_RESETS_IWDG RCC_CSR_IWDGRSTF
#define RCC_RESETS_FORGET RCC_CSR_RMVF

#include "ports/stm32.h"

_Static_assert(BOARD_HSE_HZ / BOARD_PLL_M >= 1000000 && BOARD_HSE_HZ / BOARD_PLL_M <= 2000000, "PLL input: 1 to 2 MHz");
_Static_assert(BOARD_HSE_HZ / BOARD_PLL_M * BOARD_PLL_N <= 432000000, "PLL output before P: at most 432 MHz");
_Static_assert(BOARD_HSE_HZ / BOARD_PLL_M * BOARD_PLL_N / BOARD_PLL_P == BOARD_CLOCK_HZ,
               "BOARD_CLOCK_HZ is not HSE / M * N / P");
_Static_assert(BOARD_UART_CLOCK_HZ == BOARD_CLOCK_HZ / USART_APB_DIVIDER, "BOARD_UART_CLOCK_HZ is not that of its APB");
_Static_assert(BOARD_FLASH_WAIT_STATES >= (BOARD_CLOCK_HZ - 1) / 30000000, "flash: a wait state for each 30 MHz");

// 48 MHz or less for USB and RNG, which nothing here uses; 0 and 1 are not allowed.
enum { kPllQ = 9 };

static bool start_hse(void) {
    RCC_CR |= BOARD_HSE_BYPASS ? RCC_CR_HSEBYP : 0;  // 5.3.1: can be written only while HSE is off
    RCC_CR |= RCC_CR_HSEON;
    return wait_for(&RCC_CR, RCC_CR_HSERDY);
}

static void start_pll(void) {
    RCC_PLLCFGR = RCC_PLLCFGR_RESERVED | RCC_PLLCFGR_Q(kPllQ) | RCC_PLLCFGR_PLLSRC_HSE |
                  ((BOARD_PLL_P / 2 - 1) << 16) | (BOARD_PLL_N << 6) | BOARD_PLL_M;
    RCC_CR |= RCC_CR_PLLON;
}

static bool set_flash(uint32_t accelerators) {
    FLASH_ACR = BOARD_FLASH_WAIT_STATES | accelerators;
    return (FLASH_ACR & FLASH_ACR_LATENCY_MASK) == BOARD_FLASH_WAIT_STATES;
}

// 5.3.3: 1, 2, 4, 8, 16 are 0, 4, 5, 6, 7 in PPRE1 and PPRE2.
static uint32_t apb_bits(uint32_t divider) { return divider == 1 ? 0 : 3u + (uint32_t)__builtin_ctz(divider); }

static const char *switch_to_pll(void) {
    RCC_CFGR = (apb_bits(BOARD_APB1_DIVIDER) << 10) | (apb_bits(BOARD_APB2_DIVIDER) << 13);
    if (!wait_for(&RCC_CR, RCC_CR_PLLRDY)) {
        return "the PLL does not lock";
    }
    RCC_CFGR |= RCC_CFGR_SW_PLL;
    return wait_for(&RCC_CFGR, RCC_CFGR_SWS_PLL) ? NULL : "the clock does not switch to the PLL";
}

// HSI without prescalers, its reset value.
static void reset_clock(void) { RCC_CFGR = 0; }
