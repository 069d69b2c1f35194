// Raspberry Pi Pico 2, with an RP2350A. A Pico 2 W is the same but for its radio, which is not used.
//
// A board is this one header. C, the linker script, the Makefile and Python (tinytrain/deploy/boards.py) read it, so it
// holds only lines `#define BOARD_NAME value`: an integer expression without suffixes, a 'character' or a "string".
// Manuals: Raspberry Pi's "RP2350 Datasheet" and "Raspberry Pi Pico 2 Datasheet".

#define BOARD_MCU "rp2350"
#define BOARD_USUAL 1           // `--mcu rp2350` means this board
#define BOARD_CPU "cortex-m33"  // -mcpu; the first of two, the other one stays in the boot ROM
#define BOARD_FPU "fpv5-sp-d16"
#define BOARD_PORT "rp2350"  // ports/rp2350.c drives it
#define BOARD_IRQS 52        // RP2350, interrupts: 0 to 51
#define BOARD_CACHES 0       // that of the flash belongs to the MCU, and the boot ROM has enabled it

// Memory, RP2350, address map; Pico 2: 4 MiB of serial flash, which the core runs from through a cache of 16 KiB (XIP).
#define BOARD_FLASH_ORIGIN 0x10000000
#define BOARD_FLASH_BYTES (4 * 1024 * 1024)
#define BOARD_RAM_ORIGIN 0x20000000
#define BOARD_RAM_BYTES (520 * 1024)

// Clock: crystal of 12 MHz -> PLL_SYS (RP2350, PLL): 12 MHz / 1 * 125 / (5 * 2) = 150 MHz, the most that it is made for.
#define BOARD_XOSC_HZ 12000000
#define BOARD_PLL_REFDIV 1
#define BOARD_PLL_FBDIV 125
#define BOARD_PLL_POSTDIV1 5
#define BOARD_PLL_POSTDIV2 2
#define BOARD_CLOCK_HZ 150000000

// Serial: UART0 on the first two pins, for a Debug Probe or another adapter of 3.3 V. The USB socket is for flashing alone.
#define BOARD_UART 0
#define BOARD_UART_NAME "UART0"
#define BOARD_UART_BAUD 115200
#define BOARD_UART_CLOCK_HZ BOARD_CLOCK_HZ
#define BOARD_UART_IRQ 33  // RP2350, interrupts
#define BOARD_UART_TX_PIN 0
#define BOARD_UART_RX_PIN 1

// The pin of MLPerf Tiny's timestamps in energy mode: any free one.
#define BOARD_TIMESTAMP_PIN 2
#define BOARD_WATCHDOG_MS 4000

// What the counter counts: `ticks * BOARD_COUNTS / BOARD_TICKS`. Here DWT CYCCNT, one tick a core cycle.
#define BOARD_COUNTER "cycles"
#define BOARD_COUNTS 1
#define BOARD_TICKS 1

// What flashes it: the first is what `make flash` calls, FLASH=... another one.
#define BOARD_FLASH_TOOLS "picotool uf2 probe-rs"
#define BOARD_CHIP "RP235x"  // its name for probe-rs
#define BOARD_UF2_FAMILY 0xE48BFF59  // Secure programs for the Cortex-M33 of an RP2350
#define BOARD_UF2_DRIVE "RP2350"     // the name of the drive that its boot ROM shows
#define BOARD_EMULATOR ""  // QEMU has no RP2350
