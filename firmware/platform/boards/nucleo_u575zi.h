// NUCLEO-U575ZI-Q: ST's Nucleo-144 board with an STM32U575ZI (ST UM2861), of which MLPerf Tiny has published rows.
//
// A board is this one header. C, the linker script, the Makefile and Python (tinytrain/deploy/boards.py) read it, so it
// holds only lines `#define BOARD_NAME value`: an integer expression without suffixes, a 'character' or a "string".
// Manuals: RM0456 is ST's reference manual of the STM32U5, DS13737 the datasheet of the STM32U575.

#define BOARD_MCU "stm32u575"
#define BOARD_USUAL 1           // `--mcu stm32u575` means this board
#define BOARD_CPU "cortex-m33"  // -mcpu; without TrustZone, which the option byte TZEN leaves off as the MCU is sold
#define BOARD_FPU "fpv5-sp-d16"
#define BOARD_PORT "stm32u5"  // ports/stm32u5.c drives it
#define BOARD_IRQS 126        // RM0456, NVIC: positions 0 to 125
#define BOARD_CACHES 0        // ICACHE belongs to the MCU, not to the core

// Memory, RM0456, memory organization. 192 KiB SRAM1, 64 KiB SRAM2 and 512 KiB SRAM3 follow each other without a gap, and
// none is faster than the others. The 16 KiB of SRAM4 are apart and not used.
#define BOARD_FLASH_ORIGIN 0x08000000
#define BOARD_FLASH_BYTES (2 * 1024 * 1024)
#define BOARD_RAM_ORIGIN 0x20000000
#define BOARD_RAM_BYTES ((192 + 64 + 512) * 1024)

// Clock: MSIS, trimmed by the crystal LSE of 32.768 kHz -> PLL1: 4 MHz / 1 * 80 / 2 = 160 MHz, which needs voltage range 1
// with its booster, and 4 flash wait states (RM0456, PWR and FLASH). DS13737, general operating conditions: every APB up to
// 160 MHz.
#define BOARD_MSI_HZ 4000000  // its range after reset
#define BOARD_PLL_M 1
#define BOARD_PLL_N 80
#define BOARD_PLL_R 2
#define BOARD_CLOCK_HZ 160000000
#define BOARD_FLASH_WAIT_STATES 4

// Serial: USART1 on the ST-LINK's virtual COM port (UM2861; alternate functions in DS13737, pinouts).
#define BOARD_UART 1
#define BOARD_UART_NAME "USART1"
#define BOARD_UART_BAUD 115200
#define BOARD_UART_CLOCK_HZ BOARD_CLOCK_HZ
#define BOARD_UART_IRQ 61  // RM0456, NVIC
#define BOARD_UART_TX_PORT 'A'
#define BOARD_UART_TX_PIN 9
#define BOARD_UART_TX_FUNCTION 7
#define BOARD_UART_RX_PORT 'A'
#define BOARD_UART_RX_PIN 10
#define BOARD_UART_RX_FUNCTION 7

// The pin of MLPerf Tiny's timestamps in energy mode: Arduino D7 (UM2861).
#define BOARD_TIMESTAMP_PORT 'F'
#define BOARD_TIMESTAMP_PIN 13
#define BOARD_WATCHDOG_MS 4000

// What the counter counts: `ticks * BOARD_COUNTS / BOARD_TICKS`. Here DWT CYCCNT, one tick a core cycle.
#define BOARD_COUNTER "cycles"
#define BOARD_COUNTS 1
#define BOARD_TICKS 1

// What flashes it: the first is what `make flash` calls, FLASH=... another one.
#define BOARD_FLASH_TOOLS "openocd st-flash probe-rs"
#define BOARD_DEBUGGER "interface/stlink-dap.cfg target/stm32u5x.cfg"  // of openocd
#define BOARD_CHIP "STM32U575ZITxQ"  // its name for probe-rs
#define BOARD_EMULATOR ""  // QEMU has no STM32U5
