// NUCLEO-H743ZI: ST's Nucleo-144 board with an STM32H743ZI (ST UM1974). On a NUCLEO-H743ZI2 (UM2407) all is the same but
// the timestamp pin, which is PG12 there.
//
// A board is this one header. C, the linker script, the Makefile and Python (tinytrain/deploy/boards.py) read it, so it
// holds only lines `#define BOARD_NAME value`: an integer expression without suffixes, a 'character' or a "string".
// Manuals: RM0433 is ST's reference manual of the STM32H742, H743 and H753, DS12110 the datasheet of the STM32H743.

#define BOARD_MCU "stm32h743"
#define BOARD_USUAL 1          // `--mcu stm32h743` means this board
#define BOARD_CPU "cortex-m7"  // -mcpu
#define BOARD_FPU "fpv5-d16"   // double precision, too; a library that uses single precision only serves as well
#define BOARD_PORT "stm32h7"   // ports/stm32h7.c drives it
#define BOARD_IRQS 150         // RM0433, NVIC: positions 0 to 149
#define BOARD_CACHES 1         // the core has I- and D-cache

// Memory, RM0433, memory organization. DTCM has no wait states and lies apart from the large RAM, the AXI SRAM, which the
// D-cache serves. The stack is in DTCM, and the arena if it fits there as well; all else is in the AXI SRAM. The other
// SRAM, 288 KiB and 64 KiB in other domains, is not used.
#define BOARD_FLASH_ORIGIN 0x08000000
#define BOARD_FLASH_BYTES (2 * 1024 * 1024)
#define BOARD_RAM_ORIGIN 0x24000000
#define BOARD_RAM_BYTES (512 * 1024)
#define BOARD_FAST_RAM_ORIGIN 0x20000000
#define BOARD_FAST_RAM_BYTES (128 * 1024)

// Clock: 8 MHz from the ST-LINK's MCO, the board's default (UM1974, OSC clock) -> PLL1: 8 MHz / 4 * 400 / 2 = 400 MHz, the
// most that revision Y of the MCU takes (DS12110, general operating conditions), at voltage scale 1; the 480 MHz of
// revision V are for that one alone. AXI and AHB up to 200 MHz, every APB up to 100 MHz. Flash at 185 to 210 MHz of the
// AXI and voltage scale 1: 2 wait states, programming delay 2 (RM0433, FLASH, read access latency).
#define BOARD_HSE_HZ 8000000
#define BOARD_HSE_BYPASS 1  // a clock signal, no crystal
#define BOARD_PLL_M 4
#define BOARD_PLL_N 400
#define BOARD_PLL_P 2
#define BOARD_CLOCK_HZ 400000000
#define BOARD_AHB_DIVIDER 2
#define BOARD_APB_DIVIDER 2  // of the AHB's clock, all four
#define BOARD_FLASH_WAIT_STATES 2
#define BOARD_FLASH_WRHIGHFREQ 2

// Serial: USART3 on the ST-LINK's virtual COM port (UM1974; alternate functions in DS12110, pinouts).
#define BOARD_UART 3
#define BOARD_UART_NAME "USART3"
#define BOARD_UART_BAUD 115200
#define BOARD_UART_CLOCK_HZ (BOARD_CLOCK_HZ / BOARD_AHB_DIVIDER / BOARD_APB_DIVIDER)
#define BOARD_UART_IRQ 39  // RM0433, NVIC
#define BOARD_UART_TX_PORT 'D'
#define BOARD_UART_TX_PIN 8
#define BOARD_UART_TX_FUNCTION 7
#define BOARD_UART_RX_PORT 'D'
#define BOARD_UART_RX_PIN 9
#define BOARD_UART_RX_FUNCTION 7

// The pin of MLPerf Tiny's timestamps in energy mode: Arduino D7 (UM1974).
#define BOARD_TIMESTAMP_PORT 'F'
#define BOARD_TIMESTAMP_PIN 13
#define BOARD_WATCHDOG_MS 4000

// What the counter counts: `ticks * BOARD_COUNTS / BOARD_TICKS`. Here DWT CYCCNT, one tick a core cycle.
#define BOARD_COUNTER "cycles"
#define BOARD_COUNTS 1
#define BOARD_TICKS 1

// What flashes it: the first is what `make flash` calls, FLASH=... another one.
#define BOARD_FLASH_TOOLS "openocd st-flash probe-rs"
#define BOARD_DEBUGGER "board/st_nucleo_h743zi.cfg"  // of openocd
#define BOARD_CHIP "STM32H743ZITx"  // its name for probe-rs
#define BOARD_EMULATOR ""  // QEMU has no STM32H7
