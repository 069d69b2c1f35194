// STM32U575 and U585, without TrustZone (option byte TZEN at 0, as they are sold). Chapters are those of RM0456, ST's
// reference manual, whose register names are used.

#include "board.h"
#include "cortex_m.h"

// Reset and clock control
#define RCC_CR REGISTER(0x46020C00)
#define RCC_CFGR1 REGISTER(0x46020C1C)
#define RCC_PLL1CFGR REGISTER(0x46020C28)
#define RCC_PLL1DIVR REGISTER(0x46020C34)
#define RCC_AHB2ENR1 REGISTER(0x46020C8C)
#define RCC_AHB3ENR REGISTER(0x46020C94)
#define RCC_APB2ENR REGISTER(0x46020CA4)
#define RCC_BDCR REGISTER(0x46020CF0)
#define RCC_CSR REGISTER(0x46020CF4)
#define RCC_CR_MSIPLLEN (1u << 3)
#define RCC_CR_MSIPLLSEL_MSIS (1u << 6)
#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_CFGR1_SW_PLL1 (3u << 0)
#define RCC_CFGR1_SWS_PLL1 (3u << 2)
#define RCC_PLL1CFGR_SRC_MSIS (1u << 0)  // and RGE 0, an input of 4 to 8 MHz; the booster has the same clock, MBOOST 0
#define RCC_PLL1CFGR_REN (1u << 18)
#define RCC_AHB3ENR_PWREN (1u << 2)
#define RCC_APB2ENR_USART1EN (1u << 14)
#define RCC_BDCR_LSEON (1u << 0)
#define RCC_BDCR_LSERDY (1u << 1)
#define RCC_BDCR_LSESYSEN (1u << 7)
#define RCC_BDCR_LSESYSRDY (1u << 11)
#define RCC_CSR_RMVF (1u << 23)
#define RCC_CSR_IWDGRSTF (1u << 29)

// Power control
#define PWR_VOSR REGISTER(0x4602080C)
#define PWR_DBPR REGISTER(0x46020828)
#define PWR_VOSR_BOOSTRDY (1u << 14)
#define PWR_VOSR_VOSRDY (1u << 15)
#define PWR_VOSR_RANGE_1 (3u << 16)
#define PWR_VOSR_BOOSTEN (1u << 18)
#define PWR_DBPR_DBP (1u << 0)

// Embedded flash memory, and the cache before it, which is empty after a reset
#define FLASH_ACR REGISTER(0x40022000)
#define FLASH_ACR_LATENCY_MASK 15u
#define FLASH_ACR_PRFTEN (1u << 8)
#define ICACHE_CR REGISTER(0x40030400)
#define ICACHE_CR_EN (1u << 0)

#if BOARD_UART != 1
#error "BOARD_UART is not 1: this port drives USART1; add the other's base, clock and enable bit here"
#endif
#define USART_BASE 0x40013800u
#define USART_ENABLE() (RCC_APB2ENR |= RCC_APB2ENR_USART1EN, (void)RCC_APB2ENR)
#define USART_IS_OLD 0
#define UART_STEPS 1
#define RESET_UART_CLOCK_HZ 4000000  // MSIS
#define GPIOA_BASE 0x42020000u
#define RCC_GPIOENR RCC_AHB2ENR1
#define IWDG_BASE 0x40003000u
#define RCC_RESETS RCC_CSR
#define RCC_RESETS_IWDG RCC_CSR_IWDGRSTF
#define RCC_RESETS_FORGET RCC_CSR_RMVF
#include "ports/stm32.h"

// The limits of DS13737, general operating conditions and PLL characteristics, in range 1.
_Static_assert(BOARD_MSI_HZ == RESET_UART_CLOCK_HZ, "MSIS: its range is left as it is after reset");
_Static_assert(BOARD_MSI_HZ / BOARD_PLL_M >= 4000000 && BOARD_MSI_HZ / BOARD_PLL_M <= 8000000, "PLL input: 4 to 8 MHz");
_Static_assert(BOARD_MSI_HZ / BOARD_PLL_M * BOARD_PLL_N >= 128000000 &&
                   BOARD_MSI_HZ / BOARD_PLL_M * BOARD_PLL_N <= 544000000,
               "PLL output before R: 128 to 544 MHz");
_Static_assert(BOARD_MSI_HZ / BOARD_PLL_M * BOARD_PLL_N / BOARD_PLL_R == BOARD_CLOCK_HZ,
               "BOARD_CLOCK_HZ is not MSIS / M * N / R");
_Static_assert(BOARD_CLOCK_HZ > 55000000 && BOARD_CLOCK_HZ <= 160000000, "range 1 with booster: 55 to 160 MHz");
_Static_assert(BOARD_UART_CLOCK_HZ == BOARD_CLOCK_HZ, "BOARD_UART_CLOCK_HZ is not that of APB2, undivided here");
_Static_assert(BOARD_FLASH_WAIT_STATES >= (BOARD_CLOCK_HZ - 1) / 32000000, "flash: a wait state for each 32 MHz");

static bool start_supply(void) {
    RCC_AHB3ENR |= RCC_AHB3ENR_PWREN;
    (void)RCC_AHB3ENR;
    PWR_VOSR |= PWR_VOSR_RANGE_1;
    return wait_for(&PWR_VOSR, PWR_VOSR_VOSRDY);
}

// LSE is in the backup domain, whose registers take nothing before the bit is set.
static bool open_backup_domain(void) {
    PWR_DBPR |= PWR_DBPR_DBP;
    return wait_for(&PWR_DBPR, PWR_DBPR_DBP);
}

// MSIS by itself is 1 % off and more; the crystal LSE trims it. LSE takes up to 2 s, but keeps running through a reset.
static bool trim_msi(void) {
    RCC_BDCR |= RCC_BDCR_LSEON;
    if (!wait_for(&RCC_BDCR, RCC_BDCR_LSERDY)) {
        return false;
    }
    RCC_BDCR |= RCC_BDCR_LSESYSEN;
    if (!wait_for(&RCC_BDCR, RCC_BDCR_LSESYSRDY)) {
        return false;
    }
    RCC_CR |= RCC_CR_MSIPLLSEL_MSIS;  // which of the two is trimmed, before the bit that begins it
    RCC_CR |= RCC_CR_MSIPLLEN;
    return true;
}

// The booster of the supply runs from the PLL's input, so that is chosen first (RM0456, PWR, embedded power distribution).
static bool start_booster(void) {
    RCC_PLL1CFGR = RCC_PLL1CFGR_SRC_MSIS | (BOARD_PLL_M - 1) << 8 | RCC_PLL1CFGR_REN;
    PWR_VOSR |= PWR_VOSR_BOOSTEN;
    return wait_for(&PWR_VOSR, PWR_VOSR_BOOSTRDY);
}

// P and Q are not used and stay at 2, as after a reset.
static bool start_pll(void) {
    RCC_PLL1DIVR = (BOARD_PLL_N - 1) << 0 | 1 << 9 | 1 << 16 | (BOARD_PLL_R - 1) << 24;
    RCC_CR |= RCC_CR_PLL1ON;
    return wait_for(&RCC_CR, RCC_CR_PLL1RDY);
}

static bool set_flash(void) {
    FLASH_ACR = BOARD_FLASH_WAIT_STATES | FLASH_ACR_PRFTEN;
    ICACHE_CR |= ICACHE_CR_EN;
    return (FLASH_ACR & FLASH_ACR_LATENCY_MASK) == BOARD_FLASH_WAIT_STATES;
}

static bool switch_to_pll(void) {
    RCC_CFGR1 |= RCC_CFGR1_SW_PLL1;
    return wait_for(&RCC_CFGR1, RCC_CFGR1_SWS_PLL1);
}

static const char *start_clock(void) {
    if (!start_supply()) {
        return "the supply does not reach voltage range 1";
    }
    if (!open_backup_domain()) {
        return "the backup domain, which has the LSE crystal, does not open";
    }
    if (!trim_msi()) {
        return "the LSE crystal, which trims MSIS, does not start";
    }
    if (!start_booster()) {
        return "the booster of the supply does not start";
    }
    if (!start_pll()) {
        return "the PLL does not lock";
    }
    if (!set_flash()) {
        return "the flash does not take its wait states";
    }
    return switch_to_pll() ? NULL : "the clock does not switch to the PLL";
}

// MSIS without prescalers, its reset value.
static void reset_clock(void) { RCC_CFGR1 = 0; }
