/* A stand-in for NVIDIA's driver that keeps its rules, for tests of what calls it; compiled by tests/fake_libcuda.py.
 *
 * Memory is the host's. Work is queued, and done when its stream is synchronised. Whatever breaks a rule is refused, as
 * the driver does, and counted as a fault, which a driver does not: a call in a thread where no context is current or
 * after the last is released, memory that is not allocated, or freed with work queued on it, a copy beyond an end, a
 * stream that is left with work. It proves that the rules are kept, and nothing about a GPU.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_CONTEXT = 201,
       INVALID_HANDLE = 400, ILLEGAL_ADDRESS = 700, CONTEXT_IS_DESTROYED = 709, CAPTURE_UNSUPPORTED = 900 };

typedef struct Work {
    struct Work *next;
    void *to, *from, *kept; /* kept: what lay in pageable memory when the copy was queued, as drivers stage it */
    size_t size;
    int pinned; /* whether it was to page-locked memory */
    enum { TO_DEVICE, TO_HOST, ON_DEVICE } kind;
} Work;

typedef struct Thing { /* all that must be given back */
    struct Thing *next;
    enum { DEVICE, PINNED, STREAM, GRAPH, LAUNCHED } kind;
    char *at;
    size_t size;
    Work *work;
    int capturing;
} Thing;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Thing *things;
static int faults, refs, made, eager, copies;
static size_t limit = (size_t)1 << 34;
static char context[] = "context";
static __thread int depth;
static __thread Thing *captured;

static int fault(int code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("fake libcuda: fault: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
    va_end(arguments);
    ++faults;
    return code;
}

#define LOCKED(body) { pthread_mutex_lock(&lock); int code = body; pthread_mutex_unlock(&lock); return code; }
#define NEEDS_CONTEXT \
    if (refs <= 0) return fault(CONTEXT_IS_DESTROYED, "%s: the context has been released", __func__); \
    if (depth <= 0) return fault(INVALID_CONTEXT, "%s: no context is current in this thread", __func__);

static Thing *thing(unsigned kind, const void *at) {
    for (Thing *t = things; t; t = t->next) {
        if (t->kind == kind && t->at == at) return t;
    }
    return NULL;
}

static int inside(unsigned kind, const void *at, size_t size) {
    for (Thing *t = things; t; t = t->next) {
        if (t->kind == kind && t->at <= (char *)at && (char *)at + size <= t->at + t->size) return 1;
    }
    return 0;
}

static int make(unsigned kind, size_t size, void **at, Work *work) {
    Thing *t = calloc(1, sizeof *t);
    size_t used = 0;
    for (Thing *other = things; other; other = other->next) used += other->kind == DEVICE ? other->size : 0;
    if (kind == DEVICE && used + size > limit) return OUT_OF_MEMORY;
    if (!size) return fault(INVALID_VALUE, "0 bytes were asked for");
    if (posix_memalign((void **)&t->at, 4096, size)) return OUT_OF_MEMORY;
    memset(t->at, 0xcd, size);
    t->kind = kind, t->size = size, t->work = work, t->next = things, things = t, *at = t->at, ++made;
    return OK;
}

static int destroy(unsigned kind, const void *at) {
    for (Thing **t = &things; *t; t = &(*t)->next) {
        if ((*t)->kind != kind || (*t)->at != at) continue;
        Thing *gone = *t;
        if (kind == STREAM && gone->work) return fault(INVALID_HANDLE, "a stream is destroyed with work in it");
        *t = gone->next;
        return OK; /* its memory is not used again, so that what still points there is found out */
    }
    return fault(INVALID_VALUE, "%p is freed and is nothing of this kind, or was freed before", at);
}

static int run(Work *w) {
    if (w->kind != TO_DEVICE && !inside(DEVICE, w->from, w->size))
        return fault(ILLEGAL_ADDRESS, "%zu bytes are read at %p, which is not allocated", w->size, w->from);
    if (w->kind != TO_HOST && !inside(DEVICE, w->to, w->size))
        return fault(ILLEGAL_ADDRESS, "%zu bytes are written at %p, which is not allocated", w->size, w->to);
    if (w->kind == TO_DEVICE && !w->kept && !inside(PINNED, w->from, w->size))
        return fault(ILLEGAL_ADDRESS, "a copy reads page-locked memory that was freed meanwhile");
    if (w->pinned && !inside(PINNED, w->to, w->size))
        return fault(ILLEGAL_ADDRESS, "a copy writes page-locked memory that was freed meanwhile");
    memmove(w->to, w->kept ? w->kept : w->from, w->size), ++copies;
    return OK;
}

static int queue(const void *handle, Work one) {
    Thing *stream = thing(STREAM, handle);
    if (!stream) return fault(INVALID_HANDLE, "work is queued on a stream that is not there");
    if (one.kind == TO_DEVICE && !inside(PINNED, one.from, one.size))
        one.kept = memcpy(malloc(one.size), one.from, one.size);
    one.pinned = one.kind == TO_HOST && inside(PINNED, one.to, one.size);
    if (eager && !stream->capturing) return run(&one);
    Work **last = &stream->work;
    while (*last) last = &(*last)->next;
    *last = memcpy(malloc(sizeof one), &one, sizeof one);
    return OK;
}

int cuInit(unsigned flags) { return flags ? INVALID_VALUE : getenv("FAKE_NO_DEVICE") ? NO_DEVICE : OK; }
int cuDriverGetVersion(int *version) { return *version = 13000, OK; }
int cuDeviceGetCount(int *count) { return *count = 1, OK; }
int cuDeviceGet(int *device, int index) { return *device = 40 + index, index ? INVALID_DEVICE : OK; }
int cuDeviceGetName(char *name, int size, int device) { return snprintf(name, size, "Fake"), device == 40 ? OK : 101; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    const char *set = getenv("FAKE_CAPABILITY");
    int capability = set ? atoi(set) : 87;
    *value = attribute == 75 ? capability / 10 : attribute == 76 ? capability % 10 : 0;
    return device == 40 ? OK : INVALID_DEVICE;
}
int cuDevicePrimaryCtxRetain(void **out, int device)
    LOCKED((*out = context, ++refs, device == 40 ? OK : INVALID_DEVICE))
int cuDevicePrimaryCtxRelease_v2(int device)
    LOCKED(device != 40 ? INVALID_DEVICE : refs-- > 0 ? OK : fault(INVALID_CONTEXT, "released more often than retained"))
int cuCtxPushCurrent_v2(void *which) {
    if (which != context || refs <= 0) return fault(INVALID_CONTEXT, "what is pushed is no living context");
    return ++depth, OK;
}
int cuCtxPopCurrent_v2(void **out) {
    if (depth <= 0) return fault(INVALID_CONTEXT, "popped, and no context is current in this thread");
    return *out = context, --depth, OK;
}
/* What pycuda calls besides. */
int cuDeviceComputeCapability(int *major, int *minor, int device) {
    return *major = 8, *minor = 7, device == 40 ? OK : INVALID_DEVICE;
}
int cuCtxGetDevice(int *device) {
    NEEDS_CONTEXT
    return *device = 40, OK;
}
int cuGetErrorString(int code, const char **out) { return (void)code, *out = "what the stand-in calls an error", OK; }
int cuMemGetInfo_v2(size_t *available, size_t *total) {
    NEEDS_CONTEXT
    return *available = *total = limit, OK;
}
int cuMemAlloc_v2(void **out, size_t size) { NEEDS_CONTEXT LOCKED(make(DEVICE, size, out, NULL)) }
int cuMemFree_v2(void *at) { NEEDS_CONTEXT LOCKED(destroy(DEVICE, at)) }
int cuMemHostAlloc(void **out, size_t size, unsigned flags) {
    NEEDS_CONTEXT
    LOCKED(flags > 7 ? INVALID_VALUE : make(PINNED, size, out, NULL))
}
int cuMemFreeHost(void *at) { NEEDS_CONTEXT LOCKED(destroy(PINNED, at)) }
int cuStreamCreate(void **out, unsigned flags) {
    NEEDS_CONTEXT
    LOCKED(flags > 1 ? INVALID_VALUE : make(STREAM, 1, out, NULL))
}
int cuStreamDestroy_v2(void *stream) { NEEDS_CONTEXT LOCKED(destroy(STREAM, stream)) }
static int synchronise(Thing *stream) {
    if (!stream) return fault(INVALID_HANDLE, "a stream is synchronised that is not there");
    if (stream->capturing) return fault(CAPTURE_UNSUPPORTED, "a stream is synchronised while it is captured");
    int code = OK;
    for (; stream->work; stream->work = stream->work->next) code = code ? code : run(stream->work);
    return code;
}
int cuStreamSynchronize(void *stream) {
    NEEDS_CONTEXT
    usleep(getenv("FAKE_SLOW") ? 2000 : 0);
    LOCKED(synchronise(thing(STREAM, stream)))
}
static int synchronise_all(void) {
    int code = OK;
    for (Thing *t = things; t; t = t->next)
        if (t->kind == STREAM) code = synchronise(t) ? INVALID_VALUE : code;
    return code;
}
int cuCtxSynchronize(void) {
    NEEDS_CONTEXT
    LOCKED(synchronise_all())
}
int cuMemcpyHtoDAsync_v2(void *to, void *from, size_t size, void *stream) {
    NEEDS_CONTEXT
    LOCKED(queue(stream, (Work){.kind = TO_DEVICE, .to = to, .from = from, .size = size}))
}
int cuMemcpyDtoHAsync_v2(void *to, void *from, size_t size, void *stream) {
    NEEDS_CONTEXT
    LOCKED(queue(stream, (Work){.kind = TO_HOST, .to = to, .from = from, .size = size}))
}
int cuMemcpyDtoDAsync_v2(void *to, void *from, size_t size, void *stream) {
    NEEDS_CONTEXT
    LOCKED(queue(stream, (Work){.kind = ON_DEVICE, .to = to, .from = from, .size = size}))
}

static int begin(Thing *stream) {
    if (!stream || stream->work || captured) return fault(INVALID_VALUE, "nothing can be captured here");
    return stream->capturing = 1, captured = stream, OK;
}
static int end(Thing *stream, void **out) {
    if (!stream || captured != stream) return fault(INVALID_VALUE, "what ends had not begun");
    Work *work = stream->work;
    return stream->capturing = 0, captured = NULL, stream->work = NULL, make(GRAPH, 1, out, work);
}
static int launch(Thing *graph, void *stream) {
    if (!graph) return fault(INVALID_HANDLE, "a graph is launched that is not there");
    int code = OK;
    for (Work *w = graph->work; w && !code; w = w->next) {
        Work again = *w;
        again.next = NULL;
        code = queue(stream, again);
    }
    return code;
}
int cuStreamBeginCapture_v2(void *stream, int mode) {
    NEEDS_CONTEXT
    LOCKED(mode != 1 ? INVALID_VALUE : begin(thing(STREAM, stream)))
}
int cuStreamEndCapture(void *stream, void **out) { NEEDS_CONTEXT LOCKED(end(thing(STREAM, stream), out)) }
int cuGraphInstantiateWithFlags(void **out, void *graph, unsigned long long flags) {
    NEEDS_CONTEXT
    LOCKED(flags || !thing(GRAPH, graph) ? INVALID_VALUE : make(LAUNCHED, 1, out, thing(GRAPH, graph)->work))
}
int cuGraphDestroy(void *graph) { NEEDS_CONTEXT LOCKED(destroy(GRAPH, graph)) }
int cuGraphLaunch(void *graph, void *stream) { NEEDS_CONTEXT LOCKED(launch(thing(LAUNCHED, graph), stream)) }
int cuGraphExecDestroy(void *graph) { NEEDS_CONTEXT LOCKED(destroy(LAUNCHED, graph)) }

int cuGetErrorName(int code, const char **out) {
    switch (code) {
        case OUT_OF_MEMORY: return *out = "CUDA_ERROR_OUT_OF_MEMORY", OK;
        case NO_DEVICE: return *out = "CUDA_ERROR_NO_DEVICE", OK;
        case INVALID_DEVICE: return *out = "CUDA_ERROR_INVALID_DEVICE", OK;
        case ILLEGAL_ADDRESS: return *out = "CUDA_ERROR_ILLEGAL_ADDRESS", OK;
        default: return *out = NULL, INVALID_VALUE;
    }
}

/* For tests. */
int fake_faults(void) { return faults; }
int fake_refs(void) { return refs; }
int fake_depth(void) { return depth; }
int fake_made(void) { return made; }
int fake_living(void) {
    int count = 0;
    for (Thing *t = things; t; t = t->next) ++count;
    return count;
}
void fake_limit(size_t bytes) { limit = bytes; }
void fake_eager(int on) { eager = on; }
__attribute__((constructor)) static void start(void) { eager = getenv("FAKE_EAGER") != NULL; }

__attribute__((destructor)) static void report(void) {
    if (getenv("FAKE_REPORT"))
        fprintf(stderr, "fake libcuda: faults %d, refs %d, living %d, copies %s\n", faults, refs, fake_living(),
                copies ? "some" : "none");
}
