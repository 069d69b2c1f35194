// Registers of the RP2350, named as in Raspberry Pi's datasheet of it; the serial port is a PL011 (Arm DDI0183).
#pragma once

#include "cortex_m.h"

#define RESETS_RESET REGISTER(0x40020000)
#define RESETS_RESET_DONE REGISTER(0x40020008)
#define RESETS_IO_BANK0 (1u << 6)
#define RESETS_PADS_BANK0 (1u << 9)
#define RESETS_PLL_SYS (1u << 14)
#define RESETS_UART0 (1u << 26)

#define CLK_REF_CTRL REGISTER(0x40010030)
#define CLK_REF_SELECTED REGISTER(0x40010038)
#define CLK_SYS_CTRL REGISTER(0x4001003C)
#define CLK_SYS_SELECTED REGISTER(0x40010044)
#define CLK_PERI_CTRL REGISTER(0x40010048)
#define CLK_REF_XOSC 2u
#define CLK_SYS_REF 0u
#define CLK_SYS_AUX 1u  // and AUXSRC 0: PLL_SYS
#define CLK_PERI_CTRL_ENABLE (1u << 11)  // and AUXSRC 0: the clock of the core

#define XOSC_CTRL REGISTER(0x40048000)
#define XOSC_STATUS REGISTER(0x40048004)
#define XOSC_STARTUP REGISTER(0x4004800C)
#define XOSC_CTRL_1_15_MHZ 0xAA0u
#define XOSC_CTRL_ENABLE (0xFABu << 12)
#define XOSC_STATUS_STABLE (1u << 31)

#define PLL_CS REGISTER(0x40050000)
#define PLL_PWR REGISTER(0x40050004)
#define PLL_FBDIV_INT REGISTER(0x40050008)
#define PLL_PRIM REGISTER(0x4005000C)
#define PLL_CS_LOCK (1u << 31)
#define PLL_PWR_PD (1u << 0)
#define PLL_PWR_POSTDIVPD (1u << 3)
#define PLL_PWR_VCOPD (1u << 5)

#define GPIO_CTRL(pin) REGISTER(0x40028004 + 8 * (pin))
#define GPIO_CTRL_UART 2u
#define GPIO_CTRL_NULL 31u  // no peripheral has the pin; the bits below drive it
#define GPIO_CTRL_LOW (2u << 12)
#define GPIO_CTRL_HIGH (3u << 12)
#define GPIO_CTRL_OUTPUT (3u << 14)
#define PAD(pin) REGISTER(0x40038004 + 4 * (pin))
#define PAD_UP (1u << 1 | 1u << 3 | 1u << 4 | 1u << 6)  // Schmitt trigger, pulled up, 4 mA, an input; not isolated

#define UART_DR REGISTER(0x40070000)
#define UART_FR REGISTER(0x40070018)
#define UART_IBRD REGISTER(0x40070024)
#define UART_FBRD REGISTER(0x40070028)
#define UART_LCR_H REGISTER(0x4007002C)
#define UART_CR REGISTER(0x40070030)
#define UART_IFLS REGISTER(0x40070034)
#define UART_IMSC REGISTER(0x40070038)
#define UART_ICR REGISTER(0x40070044)
#define UART_DR_ERRORS 0xF00u  // overrun, break, parity, framing
#define UART_FR_BUSY (1u << 3)
#define UART_FR_RXFE (1u << 4)
#define UART_FR_TXFF (1u << 5)
#define UART_LCR_H_8N1 (3u << 5 | 1u << 4)  // with its FIFOs
#define UART_CR_ON (1u << 0 | 1u << 8 | 1u << 9)
#define UART_IFLS_RX_EIGHTH 0u
#define UART_RECEIVED (1u << 4 | 1u << 6)  // an eighth of the FIFO, or less and nothing for 32 bits

#define TICKS_WATCHDOG_CTRL REGISTER(0x40108030)
#define TICKS_WATCHDOG_CYCLES REGISTER(0x40108034)
#define WATCHDOG_CTRL REGISTER(0x400D8000)
#define WATCHDOG_LOAD REGISTER(0x400D8004)
#define WATCHDOG_REASON REGISTER(0x400D8008)
#define WATCHDOG_SCRATCH4 REGISTER(0x400D801C)
#define WATCHDOG_CTRL_PAUSE (7u << 24)  // while a debugger holds a core
#define WATCHDOG_CTRL_ENABLE (1u << 30)
#define WATCHDOG_CTRL_TRIGGER (1u << 31)
#define WATCHDOG_REASON_TIMER (1u << 0)
#define PSM_WDSEL REGISTER(0x40018008)
#define PSM_WDSEL_ALL_BUT_OSCILLATORS 0x01FFFFF3u
