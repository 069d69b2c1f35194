// STM32F74x and F75x. Sections are those of RM0385, ST's reference manual, whose register names are used.

#define USART_IS_OLD 0
#include "ports/stm32f4_f7.h"

// 4.4 PWR, power controller
#define PWR_CR1 REGISTER(0x40007000)   // 4.4.1
#define PWR_CSR1 REGISTER(0x40007004)  // 4.4.2
#define PWR_CR1_VOS_SCALE_1 (3u << 14)
#define PWR_CR1_ODEN (1u << 16)
#define PWR_CR1_ODSWEN (1u << 17)
#define PWR_CSR1_ODRDY (1u << 16)
#define PWR_CSR1_ODSWRDY (1u << 17)

#define FLASH_ACR_ARTEN (1u << 9)

// DS10916, general operating conditions.
_Static_assert(BOARD_CLOCK_HZ <= 216000000, "core: at most 216 MHz");
_Static_assert(BOARD_CLOCK_HZ / BOARD_APB1_DIVIDER <= 54000000, "APB1: at most 54 MHz");
_Static_assert(BOARD_CLOCK_HZ / BOARD_APB2_DIVIDER <= 108000000, "APB2: at most 108 MHz");

// 3.3.2: the ART accelerator and prefetch serve the flash's ITCM port. Code here runs from the AXI port, through the
// caches; what is fetched through the alias at 0x00200000, as the vectors after reset are, gains.
// 4.1.4, "Entering Over-drive mode": PLL on, over-drive on, wait states and prescalers, PLL locked, switch.
static const char *start_clock(void) {
    RCC_APB1ENR |= RCC_APB1ENR_PWREN;
    (void)RCC_APB1ENR;  // an enabled peripheral needs two cycles before it is used (5.2)
    PWR_CR1 |= PWR_CR1_VOS_SCALE_1;
    if (!start_hse()) {
        return "the HSE oscillator does not start";
    }
    start_pll();
    PWR_CR1 |= PWR_CR1_ODEN;
    if (!wait_for(&PWR_CSR1, PWR_CSR1_ODRDY)) {
        return "over-drive does not start";
    }
    PWR_CR1 |= PWR_CR1_ODSWEN;
    if (!wait_for(&PWR_CSR1, PWR_CSR1_ODSWRDY)) {
        return "over-drive does not switch";
    }
    if (!set_flash(FLASH_ACR_PRFTEN | FLASH_ACR_ARTEN)) {
        return "the flash does not take its wait states";
    }
    return switch_to_pll();
}
