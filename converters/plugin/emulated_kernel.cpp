// kernel.cu and crop.cu on the processor, as a library with their interfaces: the tests of sdk/engines call it.
#include "emulated_gpu.h"

#include "kernel.cu"

#include "crop.cu"
