// Core registers of an ARMv7-M, named as in the ARMv7-M Architecture Reference Manual (DDI0403E, B3.2 and C1.8).
#pragma once

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define SCB_VTOR REGISTER(0xE000ED08)   // B3.2.5  vector table offset
#define SCB_AIRCR REGISTER(0xE000ED0C)  // B3.2.6  application interrupt and reset control
#define SCB_CCR REGISTER(0xE000ED14)    // B3.2.8  configuration and control
#define SCB_CFSR REGISTER(0xE000ED28)   // B3.2.15 configurable fault status
#define SCB_HFSR REGISTER(0xE000ED2C)   // B3.2.16 hard fault status
#define SCB_MMFAR REGISTER(0xE000ED34)  // B3.2.17 memory fault address
#define SCB_BFAR REGISTER(0xE000ED38)   // B3.2.18 bus fault address
#define SCB_CPACR REGISTER(0xE000ED88)  // B3.2.20 coprocessor access

#define AIRCR_KEY (0x05FAu << 16)
#define AIRCR_SYSRESETREQ (1u << 2)
#define CCR_IC (1u << 17)
#define CCR_DC (1u << 16)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_BFARVALID (1u << 15)

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
