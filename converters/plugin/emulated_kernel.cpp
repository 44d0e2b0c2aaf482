// kernel.cu on the processor, as a library with kernel.h's interface: the tests of sdk/engines/cuda.py call it.
#include "emulated_gpu.h"

#include "kernel.cu"
