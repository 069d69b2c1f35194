// Core registers of an ARMv7-M, named as in the ARMv7-M Architecture Reference Manual (DDI0403E, B3.2 and C1.8), and what
// an ARMv8-M has besides or instead (DDI0553, D1.2).
#pragma once

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define SYST_CSR REGISTER(0xE000E010)   // B3.3.3  SysTick control and status
#define SYST_RVR REGISTER(0xE000E014)   // B3.3.4  SysTick reload value
#define SYST_CVR REGISTER(0xE000E018)   // B3.3.5  SysTick current value
#define SCB_ICSR REGISTER(0xE000ED04)   // B3.2.4  interrupt control and state
#define SCB_VTOR REGISTER(0xE000ED08)   // B3.2.5  vector table offset
#define SCB_AIRCR REGISTER(0xE000ED0C)  // B3.2.6  application interrupt and reset control
#define SCB_CCR REGISTER(0xE000ED14)    // B3.2.8  configuration and control
#define SCB_CFSR REGISTER(0xE000ED28)   // B3.2.15 configurable fault status
#define SCB_HFSR REGISTER(0xE000ED2C)   // B3.2.16 hard fault status
#define SCB_MMFAR REGISTER(0xE000ED34)  // B3.2.17 memory fault address
#define SCB_BFAR REGISTER(0xE000ED38)   // B3.2.18 bus fault address
#define SCB_CPACR REGISTER(0xE000ED88)  // B3.2.20 coprocessor access

#define MPU_TYPE REGISTER(0xE000ED90)   // B3.5.4  MPU: how many regions
#define MPU_CTRL REGISTER(0xE000ED94)   // B3.5.5
#define MPU_RNR REGISTER(0xE000ED98)    // B3.5.7  the region that the next two are about
#define MPU_RBAR REGISTER(0xE000ED9C)   // B3.5.8  its base
#define MPU_RASR REGISTER(0xE000EDA0)   // B3.5.9  its attributes and size
#define MPU_RLAR REGISTER(0xE000EDA0)   // ARMv8-M: its last address, and which attributes of MPU_MAIR0 it has
#define MPU_MAIR0 REGISTER(0xE000EDC0)  // ARMv8-M: four attributes, a byte each
#define SFSR REGISTER(0xE000EDE4)       // ARMv8-M: secure fault status, 0 without TrustZone
#define SFAR REGISTER(0xE000EDE8)       // ARMv8-M: secure fault address

#define SYST_CSR_ENABLE (1u << 0)
#define SYST_CSR_TICKINT (1u << 1)
#define SYST_CSR_CORE_CLOCK (1u << 2)
#define SYST_CSR_COUNTFLAG (1u << 16)
#define ICSR_PENDSTCLR (1u << 25)
#define MPU_TYPE_DREGION(type) ((type) >> 8 & 255)
#define MPU_CTRL_ENABLE (1u << 0)      // not for the handlers of faults and NMI
#define MPU_CTRL_PRIVDEFENA (1u << 2)  // outside of all regions everything is as without MPU
#define MPU_RASR_ENABLE (1u << 0)
#define MPU_RASR_SIZE(bytes) (((uint32_t)__builtin_ctz(bytes) - 1) << 1)
#define MPU_RASR_NO_ACCESS (1u << 28)  // XN, and AP 0
#define MPU_RBAR_XN (1u << 0)          // ARMv8-M: nothing is executed
#define MPU_RBAR_READ_ONLY (2u << 1)   // ARMv8-M: to privileged code, and to no other
#define MPU_RLAR_ENABLE (1u << 0)
#define MPU_RLAR_ATTRIBUTES(index) ((uint32_t)(index) << 1)
#define MAIR_NORMAL 0xFFu  // memory, written back, cached on reading and writing
#define MAIR_DEVICE 0x04u  // peripherals: nGnRE

#define AIRCR_KEY (0x05FAu << 16)
#define AIRCR_SYSRESETREQ (1u << 2)
#define CCR_IC (1u << 17)
#define CCR_DC (1u << 16)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_BFARVALID (1u << 15)
#define CFSR_STKOF (1u << 20)  // ARMv8-M: the stack would have gone below MSPLIM
#define SFSR_SFARVALID (1u << 6)

// Interrupts: enable and disable, 32 to a register (B3.4.4, B3.4.5).
#define NVIC_ISER(irq) REGISTER(0xE000E100 + (irq) / 32 * 4)
#define NVIC_ICER(irq) REGISTER(0xE000E180 + (irq) / 32 * 4)
#define NVIC_BIT(irq) (1u << ((irq) % 32))

// Caches: identification (B4.8) and maintenance by set and way (B2.2).
#define CCSIDR REGISTER(0xE000ED80)
#define CSSELR REGISTER(0xE000ED84)
#define ICIALLU REGISTER(0xE000EF50)
#define DCISW REGISTER(0xE000EF60)

// Debug: C1.6.5 and C1.8. LAR is the software lock of CoreSight, closed after reset on the Cortex-M7.
#define DEMCR REGISTER(0xE000EDFC)
#define DEMCR_TRCENA (1u << 24)
#define DWT_CTRL REGISTER(0xE0001000)
#define DWT_CTRL_CYCCNTENA (1u << 0)
#define DWT_CYCCNT REGISTER(0xE0001004)
#define DWT_LAR REGISTER(0xE0001FB0)
#define DWT_LAR_KEY 0xC5ACCE55

static inline void barrier(void) { __asm volatile("dsb\n isb" ::: "memory"); }
static inline void interrupts_off(void) { __asm volatile("cpsid i" ::: "memory"); }
static inline void interrupts_on(void) { __asm volatile("cpsie i" ::: "memory"); }
static inline void wait_for_interrupt(void) { __asm volatile("dsb\n wfi" ::: "memory"); }

// Sleeps until an interrupt comes, for at most `cycles`, up to 2^24; returns how many it were. Called with interrupts off:
// the one that comes ends the sleep, and is handled once they are on again.
static inline uint32_t sleep_cycles(uint32_t cycles) {
    SYST_RVR = cycles - 1;
    SYST_CVR = 0;  // any value: it counts down from SYST_RVR
    SYST_CSR = SYST_CSR_ENABLE | SYST_CSR_TICKINT | SYST_CSR_CORE_CLOCK;
    wait_for_interrupt();
    uint32_t left = SYST_CVR;
    uint32_t slept = (SYST_CSR & SYST_CSR_COUNTFLAG) ? cycles : left == 0 ? 0 : cycles - left;
    SYST_CSR = 0;
    SCB_ICSR = ICSR_PENDSTCLR;  // its interrupt was for waking alone
    return slept;
}
