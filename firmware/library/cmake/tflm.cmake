# Included by ../CMakeLists.txt where the network runs on TensorFlow Lite Micro (TFLM).
#
# TFLM_DIR: a folder with include/ and lib/libtensorflow-microlite.a, built for the same core.
set(TFLM_DIR "$ENV{TFLM_DIR}" CACHE PATH "folder with TensorFlow Lite Micro's include/ and lib/")
set(TINYTRAIN_TFLM ${TFLM_DIR}/lib/libtensorflow-microlite.a)
if(NOT EXISTS "${TINYTRAIN_TFLM}" OR NOT EXISTS "${TFLM_DIR}/include/tensorflow")
  message(FATAL_ERROR "TFLM_DIR is '${TFLM_DIR}'; set it to a folder with include/ and lib/libtensorflow-microlite.a of "
    "TensorFlow Lite Micro: firmware/README.md of tinytrain says how to build it")
endif()
enable_language(CXX)

# The headers must be read as the library was built: TF_LITE_STATIC_MEMORY changes the layout of its tensors, and its
# symbols tell whether it has CMSIS-NN's kernels and its error texts.
execute_process(COMMAND ${CMAKE_NM} -g --defined-only ${TINYTRAIN_TFLM} OUTPUT_VARIABLE TINYTRAIN_SYMBOLS ERROR_QUIET)
string(FIND "${TINYTRAIN_SYMBOLS}" " arm_convolve_s8\n" TINYTRAIN_HAS_CMSIS_NN)
string(FIND "${TINYTRAIN_SYMBOLS}" " _Z11MicroPrintfPKcz\n" TINYTRAIN_HAS_TEXTS)
target_compile_definitions(tinytrain PRIVATE TF_LITE_STATIC_MEMORY NDEBUG)
if(NOT TINYTRAIN_HAS_CMSIS_NN EQUAL -1)
  target_compile_definitions(tinytrain PRIVATE CMSIS_NN)
endif()
if(TINYTRAIN_HAS_TEXTS EQUAL -1)
  target_compile_definitions(tinytrain PRIVATE TF_LITE_STRIP_ERROR_STRINGS)
endif()
target_include_directories(tinytrain SYSTEM PRIVATE ${TFLM_DIR}/include
  ${TFLM_DIR}/include/third_party/flatbuffers/include ${TFLM_DIR}/include/third_party/gemmlowp
  ${TFLM_DIR}/include/third_party/ruy)
set_target_properties(tinytrain PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON)
target_compile_options(tinytrain PRIVATE
  -funsigned-char $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti -fno-exceptions -fno-threadsafe-statics>)
set_source_files_properties(src/app/operators_tflm.cc PROPERTIES COMPILE_OPTIONS -O2)
target_link_libraries(tinytrain PUBLIC ${TINYTRAIN_TFLM} m)
