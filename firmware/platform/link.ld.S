/* Linker script of every board, run through the C preprocessor for its numbers. */
#include BOARD_HEADER
#include "guard.h"

/* Where the fastest RAM is a region of its own, the stack is in it, and the arena as well if it fits beside the stack and
   what .noinit takes. Elsewhere all is in one region, which begins with its fastest part. */
#if defined BOARD_FAST_RAM_ORIGIN && BOARD_FAST_RAM_ORIGIN != BOARD_RAM_ORIGIN
#define FAST_RAM_APART
#define STACK_RAM FAST_RAM
#define STACK_SEGMENT fast
#else
#define STACK_RAM RAM
#define STACK_SEGMENT zero
#endif
#if defined FAST_RAM_APART && STACK_BYTES + 64 + ARENA_BYTES > BOARD_FAST_RAM_BYTES
#define ARENA_RAM RAM
#define ARENA_SEGMENT zero
#else
#define ARENA_RAM STACK_RAM
#define ARENA_SEGMENT STACK_SEGMENT
#endif

MEMORY {
    FLASH (rx) : ORIGIN = BOARD_FLASH_ORIGIN, LENGTH = BOARD_FLASH_BYTES
    RAM (rw) : ORIGIN = BOARD_RAM_ORIGIN, LENGTH = BOARD_RAM_BYTES
#ifdef FAST_RAM_APART
    FAST_RAM (rw) : ORIGIN = BOARD_FAST_RAM_ORIGIN, LENGTH = BOARD_FAST_RAM_BYTES
#endif
}

PHDRS {
    code PT_LOAD FLAGS(5);
#ifdef FAST_RAM_APART
    fast PT_LOAD FLAGS(6);
#endif
    data PT_LOAD FLAGS(6);
    zero PT_LOAD FLAGS(6);
}

ENTRY(reset)

SECTIONS {
    .vectors : { KEEP(*(.vectors)) KEEP(*(.vectors.boot)) } > FLASH :code  /* and what a boot ROM looks for there */
#if BOARD_FLASH_ORIGIN == 0
    /* The guard at address 0 holds the vectors, and nothing else: mpu.c. */
    .text GUARD_BYTES : { *(.text .text.*) } > FLASH :code
#else
    .text : { *(.text .text.*) } > FLASH :code
#endif
    .model : { *(.rodata.model) } > FLASH :code
    .rodata : {
        *(.rodata .rodata.*)
        . = ALIGN(4);
        init_array_start = .;
        KEEP(*(SORT_BY_INIT_PRIORITY(.init_array.*)))
        KEEP(*(.init_array))
        init_array_end = .;
    } > FLASH :code
    .exidx : { *(.ARM.extab* .ARM.exidx*) } > FLASH :code

    /* First in RAM: below it is the guard of mpu.c, and no memory that anything uses. `AT> RAM` keeps what has no
       contents out of the flash image; without it QEMU's loader fills zeros through flash. */
    .stack (NOLOAD) : ALIGN(8) {
        stack_limit = .;
        . += STACK_BYTES;
        stack_top = .;
    } > STACK_RAM AT> STACK_RAM :STACK_SEGMENT

    /* What a restart leaves alone: in no program header, so nothing is loaded or filled. After the stack, where the F7 and
       the H7 have RAM that no cache holds back from. */
    .noinit (NOLOAD) : ALIGN(4) { *(.noinit) } > STACK_RAM AT> STACK_RAM :NONE

    /* The arena is next, so that as much of it as possible lies in RAM without wait states, with which a board's RAM
       begins. */
    .arena (NOLOAD) : ALIGN(16) {
        arena_start = .;
        *(.bss.arena)
        . = ALIGN(4);
        arena_end = .;
    } > ARENA_RAM AT> ARENA_RAM :ARENA_SEGMENT

    /* The input as it arrived; only where there is room for it (inference.cc), so it is no part of what a model needs. */
    .image (NOLOAD) : ALIGN(4) { *(.bss.image) } > RAM AT> RAM :zero

    .bss (NOLOAD) : ALIGN(4) {
        bss_start = .;
        *(.bss .bss.* COMMON)
        . = ALIGN(4);
        bss_end = .;
    } > RAM AT> RAM :zero

    .data : ALIGN(4) {
        data_start = .;
        *(.data .data.*)
        . = ALIGN(4);
        data_end = .;
    } > RAM AT> FLASH :data
    data_load = LOADADDR(.data);
    ASSERT(stack_limit % GUARD_BYTES == 0, "the guard below the stack is aligned to its size")

    /DISCARD/ : { *(.fini_array .fini_array.* .eh_frame .comment) }
}
