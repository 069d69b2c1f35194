// NUCLEO-F401RE: ST's Nucleo-64 board with an STM32F401RE (ST UM1724).
//
// A board is this one header. C, the linker script, the Makefile and Python (tinytrain/deploy/boards.py) read it, so it
// holds only lines `#define BOARD_NAME value`: an integer expression without suffixes, a 'character' or a "string".
// Manuals: RM0368 is ST's reference manual of the STM32F401, DS10086 the datasheet of the STM32F401xD and xE.

#define BOARD_MCU "stm32f401"
#define BOARD_USUAL 1          // `--mcu stm32f401` means this board
#define BOARD_CPU "cortex-m4"  // -mcpu
#define BOARD_FPU "fpv4-sp-d16"
#define BOARD_PORT "stm32f4"  // ports/stm32f4.c drives it
#define BOARD_IRQS 85         // RM0368, NVIC: positions 0 to 84
#define BOARD_CACHES 0        // those of the ART accelerator belong to the flash

// Memory, RM0368, memory map: one SRAM without wait states.
#define BOARD_FLASH_ORIGIN 0x08000000
#define BOARD_FLASH_BYTES (512 * 1024)
#define BOARD_RAM_ORIGIN 0x20000000
#define BOARD_RAM_BYTES (96 * 1024)

// Clock: 8 MHz from the ST-LINK's MCO, the board's default (UM1724, OSC clock) -> PLL (RM0368, RCC_PLLCFGR):
// 8 MHz / 8 * 336 / 4 = 84 MHz at voltage scale 2 and 2 flash wait states at 2.7 to 3.6 V (RM0368, FLASH, read access
// latency). DS10086, general operating conditions: APB1 up to 42 MHz, APB2 up to 84 MHz.
#define BOARD_HSE_HZ 8000000
#define BOARD_HSE_BYPASS 1  // a clock signal, no crystal
#define BOARD_PLL_M 8
#define BOARD_PLL_N 336
#define BOARD_PLL_P 4
#define BOARD_CLOCK_HZ 84000000
#define BOARD_APB1_DIVIDER 2
#define BOARD_APB2_DIVIDER 1
#define BOARD_FLASH_WAIT_STATES 2

// Serial: USART2 on the ST-LINK's virtual COM port (UM1724; alternate functions in DS10086, pinouts).
#define BOARD_UART 2
#define BOARD_UART_NAME "USART2"
#define BOARD_UART_BAUD 115200
#define BOARD_UART_CLOCK_HZ (BOARD_CLOCK_HZ / BOARD_APB1_DIVIDER)
#define BOARD_UART_IRQ 38  // RM0368, NVIC
#define BOARD_UART_TX_PORT 'A'
#define BOARD_UART_TX_PIN 2
#define BOARD_UART_TX_FUNCTION 7
#define BOARD_UART_RX_PORT 'A'
#define BOARD_UART_RX_PIN 3
#define BOARD_UART_RX_FUNCTION 7

// The pin of MLPerf Tiny's timestamps in energy mode: Arduino D7 (UM1724).
#define BOARD_TIMESTAMP_PORT 'A'
#define BOARD_TIMESTAMP_PIN 8
#define BOARD_WATCHDOG_MS 4000

// What the counter counts: `ticks * BOARD_COUNTS / BOARD_TICKS`. Here DWT CYCCNT, one tick a core cycle.
#define BOARD_COUNTER "cycles"
#define BOARD_COUNTS 1
#define BOARD_TICKS 1

// What flashes it: the first is what `make flash` calls, FLASH=... another one.
#define BOARD_FLASH_TOOLS "openocd st-flash probe-rs"
#define BOARD_DEBUGGER "board/st_nucleo_f4.cfg"  // of openocd
#define BOARD_CHIP "STM32F401RETx"  // its name for probe-rs
#define BOARD_EMULATOR ""  // QEMU has no STM32F401
