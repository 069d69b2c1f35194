// STM32F746G-DISCO: ST's discovery kit with an STM32F746NG (ST UM1907).
//
// A board is this one header. C, the linker script, the Makefile and Python (tinytrain/deploy/boards.py) read it, so it
// holds only lines `#define BOARD_NAME value`: an integer expression without suffixes, a 'character' or a "string".
// Manuals: RM0385 is ST's reference manual of the STM32F74x and F75x, DS10916 the datasheet of the STM32F746.

#define BOARD_MCU "stm32f746"
#define BOARD_USUAL 1          // `--mcu stm32f746` means this board
#define BOARD_CPU "cortex-m7"  // -mcpu
#define BOARD_FPU "fpv5-sp-d16"
#define BOARD_PORT "stm32f7"  // ports/stm32f7.c drives it
#define BOARD_IRQS 98         // RM0385 chapter 10: positions 0 to 97
#define BOARD_CACHES 1        // the core has I- and D-cache

// Memory, RM0385 2.2.2. 64 KiB DTCM, 240 KiB SRAM1 and 16 KiB SRAM2 follow each other without a gap: one region, whose
// first 64 KiB have no wait states. Flash through the AXI port, which the caches serve.
#define BOARD_FLASH_ORIGIN 0x08000000
#define BOARD_FLASH_BYTES (1024 * 1024)
#define BOARD_RAM_ORIGIN 0x20000000
#define BOARD_RAM_BYTES ((64 + 240 + 16) * 1024)
#define BOARD_FAST_RAM_ORIGIN BOARD_RAM_ORIGIN  // DTCM
#define BOARD_FAST_RAM_BYTES (64 * 1024)

// Clock: crystal X2 -> PLL (RM0385 5.3.2): 25 MHz / 25 * 432 / 2 = 216 MHz, which needs over-drive (4.1.4) and 7 flash
// wait states at 2.7 to 3.6 V (3.3.2). DS10916, general operating conditions: APB1 up to 54 MHz, APB2 up to 108 MHz.
#define BOARD_HSE_HZ 25000000
#define BOARD_HSE_BYPASS 0  // a crystal, not a clock signal
#define BOARD_PLL_M 25
#define BOARD_PLL_N 432
#define BOARD_PLL_P 2
#define BOARD_CLOCK_HZ 216000000
#define BOARD_APB1_DIVIDER 4
#define BOARD_APB2_DIVIDER 2
#define BOARD_FLASH_WAIT_STATES 7

// Serial: USART1 on the ST-LINK's virtual COM port (UM1907; alternate functions in DS10916, pinouts).
#define BOARD_UART 1
#define BOARD_UART_NAME "USART1"
#define BOARD_UART_BAUD 115200
#define BOARD_UART_CLOCK_HZ (BOARD_CLOCK_HZ / BOARD_APB2_DIVIDER)
#define BOARD_UART_IRQ 37  // RM0385 chapter 10
#define BOARD_UART_TX_PORT 'A'
#define BOARD_UART_TX_PIN 9
#define BOARD_UART_TX_FUNCTION 7
#define BOARD_UART_RX_PORT 'B'
#define BOARD_UART_RX_PIN 7
#define BOARD_UART_RX_FUNCTION 7

// The pin of MLPerf Tiny's timestamps in energy mode: Arduino D7 (UM1907).
#define BOARD_TIMESTAMP_PORT 'I'
#define BOARD_TIMESTAMP_PIN 3
#define BOARD_WATCHDOG_MS 4000

// What the counter counts: `ticks * BOARD_COUNTS / BOARD_TICKS`. Here DWT CYCCNT, one tick a core cycle.
#define BOARD_COUNTER "cycles"
#define BOARD_COUNTS 1
#define BOARD_TICKS 1

// What flashes it: the first is what `make flash` calls, FLASH=... another one.
#define BOARD_FLASH_TOOLS "openocd st-flash probe-rs"
#define BOARD_DEBUGGER "board/stm32f746g-disco.cfg"  // of openocd
#define BOARD_CHIP "STM32F746NGHx"  // its name for probe-rs
#define BOARD_EMULATOR ""  // QEMU has no STM32F7
