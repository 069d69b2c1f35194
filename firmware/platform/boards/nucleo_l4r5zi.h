// NUCLEO-L4R5ZI: ST's Nucleo-144 board with an STM32L4R5ZI (ST UM2179), the reference board of MLPerf Tiny.
//
// A board is this one header. C, the linker script, the Makefile and Python (tinytrain/deploy/boards.py) read it, so it
// holds only lines `#define BOARD_NAME value`: an integer expression without suffixes, a 'character' or a "string".
// Manuals: RM0432 is ST's reference manual of the STM32L4Rx and L4Sx, DS12023 the datasheet of the STM32L4R5.

#define BOARD_MCU "stm32l4r5"
#define BOARD_USUAL 1          // `--mcu stm32l4r5` means this board
#define BOARD_CPU "cortex-m4"  // -mcpu
#define BOARD_FPU "fpv4-sp-d16"
#define BOARD_PORT "stm32l4"  // ports/stm32l4.c drives it
#define BOARD_IRQS 95         // RM0432, NVIC: positions 0 to 94
#define BOARD_CACHES 0        // those of the ART accelerator belong to the flash

// Memory, RM0432, memory organization. 192 KiB SRAM1, 64 KiB SRAM2 and 384 KiB SRAM3 follow each other without a gap, and
// none is faster than the others.
#define BOARD_FLASH_ORIGIN 0x08000000
#define BOARD_FLASH_BYTES (2 * 1024 * 1024)
#define BOARD_RAM_ORIGIN 0x20000000
#define BOARD_RAM_BYTES ((192 + 64 + 384) * 1024)

// Clock: nothing is connected to HSE as the board is sold, so MSI, trimmed by the crystal LSE of 32.768 kHz (to 122 times
// that, 3.998 MHz) -> PLL: 4 MHz / 1 * 60 / 2 = 120 MHz, which needs range 1 boost mode (RM0432, dynamic voltage scaling) and
// 5 flash wait states (RM0432, FLASH, read access latency). DS12023, general operating conditions: both APB up to 120 MHz.
#define BOARD_MSI_HZ 4000000  // its range after reset
#define BOARD_PLL_M 1
#define BOARD_PLL_N 60
#define BOARD_PLL_R 2
#define BOARD_CLOCK_HZ 120000000
#define BOARD_FLASH_WAIT_STATES 5

// Serial: LPUART1 on the ST-LINK's virtual COM port (UM2179; alternate functions in DS12023, pinouts).
#define BOARD_UART 1
#define BOARD_UART_NAME "LPUART1"
#define BOARD_UART_BAUD 115200
#define BOARD_UART_CLOCK_HZ BOARD_CLOCK_HZ
#define BOARD_UART_IRQ 70  // RM0432, NVIC
#define BOARD_UART_TX_PORT 'G'
#define BOARD_UART_TX_PIN 7
#define BOARD_UART_TX_FUNCTION 8
#define BOARD_UART_RX_PORT 'G'
#define BOARD_UART_RX_PIN 8
#define BOARD_UART_RX_FUNCTION 8

// The pin of MLPerf Tiny's timestamps in energy mode: Arduino D7 (UM2179), as in its own code for this board.
#define BOARD_TIMESTAMP_PORT 'F'
#define BOARD_TIMESTAMP_PIN 13
#define BOARD_WATCHDOG_MS 4000

// What the counter counts: `ticks * BOARD_COUNTS / BOARD_TICKS`. Here DWT CYCCNT, one tick a core cycle.
#define BOARD_COUNTER "cycles"
#define BOARD_COUNTS 1
#define BOARD_TICKS 1

// What flashes it: the first is what `make flash` calls, FLASH=... another one.
#define BOARD_FLASH_TOOLS "openocd st-flash probe-rs"
#define BOARD_DEBUGGER "board/st_nucleo_l4.cfg"  // of openocd
#define BOARD_CHIP "STM32L4R5ZITx"  // its name for probe-rs
#define BOARD_EMULATOR ""  // QEMU has no STM32L4+
