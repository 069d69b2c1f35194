// STM32H742, H743 and H753. Chapters are those of RM0433, ST's reference manual, whose register names are used.

#include "board.h"
#include "cortex_m.h"

// Reset and clock control
#define RCC_CR REGISTER(0x58024400)
#define RCC_CFGR REGISTER(0x58024410)
#define RCC_D1CFGR REGISTER(0x58024418)
#define RCC_D2CFGR REGISTER(0x5802441C)
#define RCC_D3CFGR REGISTER(0x58024420)
#define RCC_PLLCKSELR REGISTER(0x58024428)
#define RCC_PLLCFGR REGISTER(0x5802442C)
#define RCC_PLL1DIVR REGISTER(0x58024430)
#define RCC_RSR REGISTER(0x580244D0)
#define RCC_AHB4ENR REGISTER(0x580244E0)
#define RCC_APB1LENR REGISTER(0x580244E8)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_CFGR_SW_PLL1 (3u << 0)
#define RCC_CFGR_SWS_PLL1 (3u << 3)
#define RCC_PLLCKSELR_PLLSRC_HSE (2u << 0)
#define RCC_PLLCKSELR_DIVM1(m) ((uint32_t)(m) << 4)
#define RCC_PLLCFGR_PLL1RGE_2_4_MHZ (1u << 2)  // and VCOSEL 0: the wide VCO
#define RCC_PLLCFGR_DIVP1EN (1u << 16)
#define RCC_APB1LENR_USART3EN (1u << 18)
#define RCC_RSR_RMVF (1u << 16)
#define RCC_RSR_IWDG1RSTF (1u << 26)

// Power control
#define PWR_CSR1 REGISTER(0x58024804)
#define PWR_CR3 REGISTER(0x5802480C)
#define PWR_D3CR REGISTER(0x58024818)
#define PWR_CSR1_ACTVOSRDY (1u << 13)
#define PWR_CR3_BYPASS (1u << 0)
#define PWR_CR3_LDOEN (1u << 1)
#define PWR_CR3_SCUEN (1u << 2)
#define PWR_D3CR_VOSRDY (1u << 13)
#define PWR_D3CR_VOS_1 (3u << 14)

// Embedded flash memory
#define FLASH_ACR REGISTER(0x52002000)
#define FLASH_ACR_VALUE (BOARD_FLASH_WAIT_STATES | BOARD_FLASH_WRHIGHFREQ << 4)
#define FLASH_ACR_MASK 0x3Fu

// Revision Y misreads the AXI SRAM when two masters read it at once (ST ES0392); one read at a time avoids it.
#define DBGMCU_IDC REGISTER(0x5C001000)
#define DBGMCU_IDC_REV_V 0x20000000u  // that and newer ones; Y has 0x1003 in 31:16
#define AXI_TARG7_FN_MOD REGISTER(0x51008108)
#define AXI_TARG_FN_MOD_READ_ISS_OVERRIDE (1u << 0)

#if BOARD_UART != 3
#error "BOARD_UART is not 3: add its base, clock and enable bit here"
#endif
#define USART_BASE 0x40004800u
#define USART_ENABLE() (RCC_APB1LENR |= RCC_APB1LENR_USART3EN, (void)RCC_APB1LENR)
#define USART_IS_OLD 0
#define UART_STEPS 1
#define RESET_UART_CLOCK_HZ 64000000  // HSI
#define GPIOA_BASE 0x58020000u
#define RCC_GPIOENR RCC_AHB4ENR
#define IWDG_BASE 0x58004800u
#define RCC_RESETS RCC_RSR
#define RCC_RESETS_IWDG RCC_RSR_IWDG1RSTF
#define RCC_RESETS_FORGET RCC_RSR_RMVF
#include "ports/stm32.h"

// The limits of DS12110, general operating conditions, for voltage scale 1 and every revision of the MCU.
_Static_assert(BOARD_HSE_HZ / BOARD_PLL_M >= 2000000 && BOARD_HSE_HZ / BOARD_PLL_M <= 4000000, "PLL input: 2 to 4 MHz");
_Static_assert(BOARD_HSE_HZ / BOARD_PLL_M * BOARD_PLL_N >= 192000000 &&
                   BOARD_HSE_HZ / BOARD_PLL_M * BOARD_PLL_N <= 836000000,
               "PLL output before P: 192 to 836 MHz");
_Static_assert(BOARD_PLL_P % 2 == 0, "PLL: P is even");
_Static_assert(BOARD_HSE_HZ / BOARD_PLL_M * BOARD_PLL_N / BOARD_PLL_P == BOARD_CLOCK_HZ,
               "BOARD_CLOCK_HZ is not HSE / M * N / P");
_Static_assert(BOARD_CLOCK_HZ <= 400000000, "core: at most 400 MHz");
_Static_assert(BOARD_CLOCK_HZ / BOARD_AHB_DIVIDER <= 200000000, "AXI and AHB: at most 200 MHz");
_Static_assert(BOARD_CLOCK_HZ / BOARD_AHB_DIVIDER / BOARD_APB_DIVIDER <= 100000000, "APB: at most 100 MHz");
_Static_assert(BOARD_UART_CLOCK_HZ == BOARD_CLOCK_HZ / BOARD_AHB_DIVIDER / BOARD_APB_DIVIDER,
               "BOARD_UART_CLOCK_HZ is not that of its APB");
_Static_assert(BOARD_FLASH_WAIT_STATES >= 2 && BOARD_FLASH_WRHIGHFREQ == 2, "flash at 185 to 210 MHz: 2 wait states");

static void heal_revision_y(void) {
    if (DBGMCU_IDC < DBGMCU_IDC_REV_V) {
        AXI_TARG7_FN_MOD = AXI_TARG_FN_MOD_READ_ISS_OVERRIDE;
    }
}

// The supply can be chosen once after power on, and has to be before its voltage is; a later write does nothing.
static bool set_supply(void) {
    PWR_CR3 = (PWR_CR3 & ~(PWR_CR3_SCUEN | PWR_CR3_BYPASS)) | PWR_CR3_LDOEN;
    return wait_for(&PWR_CSR1, PWR_CSR1_ACTVOSRDY);
}

static bool set_voltage(void) {
    PWR_D3CR |= PWR_D3CR_VOS_1;
    return wait_for(&PWR_D3CR, PWR_D3CR_VOSRDY);
}

static bool start_hse(void) {
    RCC_CR |= BOARD_HSE_BYPASS ? RCC_CR_HSEBYP : 0;  // can be written only while HSE is off
    RCC_CR |= RCC_CR_HSEON;
    return wait_for(&RCC_CR, RCC_CR_HSERDY);
}

// Outputs Q and R stay off; their dividers are 2.
static bool start_pll(void) {
    RCC_PLLCKSELR = RCC_PLLCKSELR_DIVM1(BOARD_PLL_M) | RCC_PLLCKSELR_PLLSRC_HSE;
    RCC_PLLCFGR = RCC_PLLCFGR_PLL1RGE_2_4_MHZ | RCC_PLLCFGR_DIVP1EN;
    RCC_PLL1DIVR = (BOARD_PLL_N - 1) | (BOARD_PLL_P - 1) << 9 | 1 << 16 | 1 << 24;
    RCC_CR |= RCC_CR_PLL1ON;
    return wait_for(&RCC_CR, RCC_CR_PLL1RDY);
}

static bool set_flash(void) {
    FLASH_ACR = FLASH_ACR_VALUE;
    return (FLASH_ACR & FLASH_ACR_MASK) == FLASH_ACR_VALUE;
}

// Core by 1, AXI and AHB by BOARD_AHB_DIVIDER (1, 2, 4, 8, 16 are 0, 8, 9, 10, 11), the four APBs alike (0, 4, 5, 6, 7).
static void set_prescalers(void) {
    uint32_t ahb = BOARD_AHB_DIVIDER == 1 ? 0 : 7u + (uint32_t)__builtin_ctz(BOARD_AHB_DIVIDER);
    uint32_t apb = BOARD_APB_DIVIDER == 1 ? 0 : 3u + (uint32_t)__builtin_ctz(BOARD_APB_DIVIDER);
    RCC_D1CFGR = ahb | apb << 4;
    RCC_D2CFGR = apb << 4 | apb << 8;
    RCC_D3CFGR = apb << 4;
}

static const char *start_clock(void) {
    heal_revision_y();
    if (!set_supply()) {
        return "the core's supply is not ready";
    }
    if (!set_voltage()) {
        return "voltage scale 1 is not reached";
    }
    if (!start_hse()) {
        return "the HSE oscillator does not start";
    }
    if (!start_pll()) {
        return "the PLL does not lock";
    }
    if (!set_flash()) {
        return "the flash does not take its wait states";
    }
    set_prescalers();
    RCC_CFGR |= RCC_CFGR_SW_PLL1;
    return wait_for(&RCC_CFGR, RCC_CFGR_SWS_PLL1) ? NULL : "the clock does not switch to the PLL";
}

// HSI without prescalers, its reset value.
static void reset_clock(void) {
    RCC_CFGR = 0;
    RCC_D1CFGR = 0;
    RCC_D2CFGR = 0;
    RCC_D3CFGR = 0;
}
