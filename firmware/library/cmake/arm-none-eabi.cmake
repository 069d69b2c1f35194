# Builds for a Cortex-M with arm-none-eabi-gcc: cmake -DCMAKE_TOOLCHAIN_FILE=… -DTINYTRAIN_CORE=cortex-m7
# A project with a toolchain file of its own needs this one no more than the library does: the flags of its core suffice.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)  # there is nothing to link a test program with
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TINYTRAIN_CORE)

set(TINYTRAIN_FPU_cortex-m4 fpv4-sp-d16)
set(TINYTRAIN_FPU_cortex-m7 fpv5-sp-d16)
set(TINYTRAIN_FPU_cortex-m33 fpv5-sp-d16)
if(NOT DEFINED TINYTRAIN_FPU_${TINYTRAIN_CORE})
  message(FATAL_ERROR "TINYTRAIN_CORE is '${TINYTRAIN_CORE}'; set it to cortex-m4, cortex-m7 or cortex-m33")
endif()
set(TINYTRAIN_CPU "-mcpu=${TINYTRAIN_CORE} -mthumb -mfpu=${TINYTRAIN_FPU_${TINYTRAIN_CORE}} -mfloat-abi=hard")
set(CMAKE_C_FLAGS_INIT "${TINYTRAIN_CPU}")
set(CMAKE_CXX_FLAGS_INIT "${TINYTRAIN_CPU}")
set(CMAKE_ASM_FLAGS_INIT "${TINYTRAIN_CPU}")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,--gc-sections")
