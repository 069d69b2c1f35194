// STM32L4Rx and L4Sx. Chapters are those of RM0432, ST's reference manual, whose register names are used.

#include "board.h"
#include "cortex_m.h"

// Reset and clock control
#define RCC_CR REGISTER(0x40021000)
#define RCC_CFGR REGISTER(0x40021008)
#define RCC_PLLCFGR REGISTER(0x4002100C)
#define RCC_AHB2ENR REGISTER(0x4002104C)
#define RCC_APB1ENR1 REGISTER(0x40021058)
#define RCC_APB1ENR2 REGISTER(0x4002105C)
#define RCC_BDCR REGISTER(0x40021090)
#define RCC_CSR REGISTER(0x40021094)
#define RCC_CR_MSIPLLEN (1u << 2)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_CFGR_SW_PLL (3u << 0)
#define RCC_CFGR_SWS_PLL (3u << 2)
#define RCC_CFGR_HPRE_MASK (15u << 4)
#define RCC_CFGR_HPRE_2 (8u << 4)
#define RCC_PLLCFGR_PLLSRC_MSI (1u << 0)
#define RCC_PLLCFGR_PLLREN (1u << 24)
#define RCC_APB1ENR1_PWREN (1u << 28)
#define RCC_APB1ENR2_LPUART1EN (1u << 0)
#define RCC_BDCR_LSEON (1u << 0)
#define RCC_BDCR_LSERDY (1u << 1)
#define RCC_CSR_RMVF (1u << 23)
#define RCC_CSR_IWDGRSTF (1u << 29)

// Power control
#define PWR_CR1 REGISTER(0x40007000)
#define PWR_CR2 REGISTER(0x40007004)
#define PWR_CR5 REGISTER(0x40007080)
#define PWR_CR1_DBP (1u << 8)
#define PWR_CR2_IOSV (1u << 9)
#define PWR_CR5_R1MODE (1u << 8)

// Embedded flash memory: the ART accelerator is a prefetch and two caches.
#define FLASH_ACR REGISTER(0x40022000)
#define FLASH_ACR_LATENCY_MASK 15u
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ICEN (1u << 9)
#define FLASH_ACR_DCEN (1u << 10)

#if BOARD_UART != 1
#error "BOARD_UART is not 1: this port drives LPUART1; add the other's base, clock and enable bit here"
#endif
#define USART_BASE 0x40008000u
#define USART_ENABLE() (RCC_APB1ENR2 |= RCC_APB1ENR2_LPUART1EN, (void)RCC_APB1ENR2)
#define USART_IS_OLD 0
#define UART_STEPS 256
#define RESET_UART_CLOCK_HZ 4000000  // MSI
#define GPIOA_BASE 0x48000000u
#define RCC_GPIOENR RCC_AHB2ENR
#define IWDG_BASE 0x40003000u
#define RCC_RESETS RCC_CSR
#define RCC_RESETS_IWDG RCC_CSR_IWDGRSTF
#define RCC_RESETS_FORGET RCC_CSR_RMVF
#include "ports/stm32.h"

// The limits of DS12023, general operating conditions and PLL characteristics, in range 1 boost mode.
_Static_assert(BOARD_MSI_HZ == RESET_UART_CLOCK_HZ, "MSI: its range is left as it is after reset");
_Static_assert(BOARD_MSI_HZ / BOARD_PLL_M >= 2660000 && BOARD_MSI_HZ / BOARD_PLL_M <= 8000000,
               "PLL input: 2.66 to 8 MHz");
_Static_assert(BOARD_MSI_HZ / BOARD_PLL_M * BOARD_PLL_N >= 64000000 &&
                   BOARD_MSI_HZ / BOARD_PLL_M * BOARD_PLL_N <= 344000000,
               "PLL output before R: 64 to 344 MHz");
_Static_assert(BOARD_MSI_HZ / BOARD_PLL_M * BOARD_PLL_N / BOARD_PLL_R == BOARD_CLOCK_HZ,
               "BOARD_CLOCK_HZ is not MSI / M * N / R");
_Static_assert(BOARD_CLOCK_HZ > 80000000 && BOARD_CLOCK_HZ <= 120000000, "boost mode: 80 to 120 MHz");
_Static_assert(BOARD_UART_CLOCK_HZ == BOARD_CLOCK_HZ, "BOARD_UART_CLOCK_HZ is not that of APB1, undivided here");
_Static_assert(BOARD_FLASH_WAIT_STATES >= (BOARD_CLOCK_HZ - 1) / 20000000, "flash: a wait state for each 20 MHz");

// The serial port's pins, port G, have a supply of their own, which the MCU does not use before it is told to.
static bool start_power(void) {
    RCC_APB1ENR1 |= RCC_APB1ENR1_PWREN;
    (void)RCC_APB1ENR1;
    PWR_CR2 |= PWR_CR2_IOSV;
    PWR_CR1 |= PWR_CR1_DBP;  // LSE is in the backup domain, whose registers take nothing before the bit is set
    return wait_for(&PWR_CR1, PWR_CR1_DBP);
}

// MSI by itself is 1 % off and more; the crystal LSE trims it. LSE takes up to 2 s, but keeps running through a reset.
static bool trim_msi(void) {
    RCC_BDCR |= RCC_BDCR_LSEON;
    if (!wait_for(&RCC_BDCR, RCC_BDCR_LSERDY)) {
        return false;
    }
    RCC_CR |= RCC_CR_MSIPLLEN;
    return true;
}

static bool start_pll(void) {
    RCC_PLLCFGR = RCC_PLLCFGR_PLLSRC_MSI | (BOARD_PLL_M - 1) << 4 | BOARD_PLL_N << 8 | (BOARD_PLL_R / 2 - 1) << 25 |
                  RCC_PLLCFGR_PLLREN;
    RCC_CR |= RCC_CR_PLLON;
    return wait_for(&RCC_CR, RCC_CR_PLLRDY);
}

static bool set_flash(void) {
    FLASH_ACR = BOARD_FLASH_WAIT_STATES | FLASH_ACR_PRFTEN | FLASH_ACR_ICEN | FLASH_ACR_DCEN;
    return (FLASH_ACR & FLASH_ACR_LATENCY_MASK) == BOARD_FLASH_WAIT_STATES;
}

// Power control, dynamic voltage scaling: from and to more than 80 MHz the AHB runs at half the clock for at least 1 us.
// At 60 MHz, 60 reads take longer than that.
static bool switch_to_pll(void) {
    RCC_CFGR |= RCC_CFGR_SW_PLL;
    bool switched = wait_for(&RCC_CFGR, RCC_CFGR_SWS_PLL);
    for (int turn = 0; turn < 60; ++turn) {
        (void)RCC_CFGR;
    }
    RCC_CFGR &= ~RCC_CFGR_HPRE_MASK;
    return switched;
}

static const char *start_clock(void) {
    if (!start_power()) {
        return "the backup domain, which has the LSE crystal, does not open";
    }
    if (!trim_msi()) {
        return "the LSE crystal, which trims MSI, does not start";
    }
    if (!start_pll()) {
        return "the PLL does not lock";
    }
    RCC_CFGR = RCC_CFGR_HPRE_2;
    PWR_CR5 &= ~PWR_CR5_R1MODE;  // boost
    if (!set_flash()) {
        return "the flash does not take its wait states";
    }
    return switch_to_pll() ? NULL : "the clock does not switch to the PLL";
}

// MSI without prescalers, its reset value.
static void reset_clock(void) { RCC_CFGR = 0; }
