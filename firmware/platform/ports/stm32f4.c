// STM32F401. Chapters are those of RM0368, ST's reference manual, whose register names are used.

#define USART_IS_OLD 1
#include "ports/stm32f4_f7.h"

// Power controller
#define PWR_CR REGISTER(0x40007000)
#define PWR_CR_VOS_MASK (3u << 14)
#define PWR_CR_VOS_SCALE_2 (2u << 14)  // up to 84 MHz, the F401's highest

// Embedded flash memory interface: the ART accelerator is a prefetch and two caches.
#define FLASH_ACR_ICEN (1u << 9)
#define FLASH_ACR_DCEN (1u << 10)

// The limits of DS10086, general operating conditions, and of RCC_PLLCFGR.
_Static_assert(BOARD_PLL_N >= 192, "PLL: N is at least 192");
_Static_assert(BOARD_HSE_HZ / BOARD_PLL_M * BOARD_PLL_N >= 192000000, "PLL output before P: at least 192 MHz");
_Static_assert(BOARD_CLOCK_HZ <= 84000000, "core: at most 84 MHz");
_Static_assert(BOARD_CLOCK_HZ / BOARD_APB1_DIVIDER <= 42000000, "APB1: at most 42 MHz");
_Static_assert(BOARD_CLOCK_HZ / BOARD_APB2_DIVIDER <= 84000000, "APB2: at most 84 MHz");

// The voltage is set while the PLL is off, which it then switches.
static const char *start_clock(void) {
    RCC_APB1ENR |= RCC_APB1ENR_PWREN;
    (void)RCC_APB1ENR;
    PWR_CR = (PWR_CR & ~PWR_CR_VOS_MASK) | PWR_CR_VOS_SCALE_2;
    if (!start_hse()) {
        return "the HSE oscillator does not start";
    }
    start_pll();
    if (!set_flash(FLASH_ACR_PRFTEN | FLASH_ACR_ICEN | FLASH_ACR_DCEN)) {
        return "the flash does not take its wait states";
    }
    return switch_to_pll();
}
