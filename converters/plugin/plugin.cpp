// AlignedLocalDistance as a TensorRT plugin, for TensorRT 10.3 to 11.x.
//
//   query [B, S, D], gallery [G, S, D] half or float, candidates [B, K] int32 → distance [B, K]
//
// The library is not linked to TensorRT: its classes are made of headers alone, and TensorRT finds the creator through
// getCreators, by IPluginRegistry::loadLibrary (trtexec: --dynamicPlugins). So one file serves several versions: the
// interfaces of version 3 plugins are laid out alike from 10.3 to 11.x. ILogger and ILoggerFinder are not (11.0 made
// them versioned interfaces), so they are not used: a plugin that was built for 10 would crash in 11 with its first line.
#include <NvInferRuntime.h>

#include <cstdio>
#include <cstring>
#include <new>

#include "kernel.h"
#include "local_distance.h"

namespace aligned_reid {
namespace {

using namespace nvinfer1;

constexpr char kName[] = "AlignedLocalDistance";
constexpr char kVersion[] = "1";
constexpr char kNamespace[] = "reid";        // the domain of the ONNX node
constexpr char kHalfOutput[] = "half_output";  // the one attribute: 1 for distances in half precision

// One line to standard error; TensorRT's own log then says which layer failed. Returns `code`, for the caller to return.
int32_t failed(const char* what, int32_t code = 1) noexcept {
    std::fprintf(stderr, "%s: %s\n", kName, what);
    return code;
}

bool is_dim(int64_t size) { return size == -1 || (size >= kDimStep && size % kDimStep == 0); }

bool is_stripes(int64_t size) { return size == -1 || (size >= 1 && size <= kMaxStripes); }

bool agree(int64_t a, int64_t b) { return a == -1 || b == -1 || a == b; }

// Whether the inputs' sizes, where they are known yet (not −1), are some that the kernel takes.
int32_t check(const Dims& query, const Dims& gallery, const Dims& candidates) noexcept {
    if (query.nbDims != 3 || gallery.nbDims != 3 || candidates.nbDims != 2) {
        return failed("takes query [B, S, D], gallery [G, S, D] and candidates [B, K]");
    }
    if (!is_stripes(query.d[1]) || !is_stripes(gallery.d[1]) || !is_dim(query.d[2]) || !is_dim(gallery.d[2])) {
        return failed("takes 1 to 16 stripes, and a dimension that is a multiple of 8");
    }
    if (!agree(query.d[0], candidates.d[0]) || !agree(query.d[1], gallery.d[1]) || !agree(query.d[2], gallery.d[2])) {
        return failed("query [B, S, D] and candidates [B, K] differ in B, or query and gallery [G, S, D] in S or D");
    }
    return 0;
}

class Plugin final : public IPluginV3, public IPluginV3OneCore, public IPluginV3OneBuild, public IPluginV3OneRuntime {
   public:
    explicit Plugin(bool half_output) : half_output_(half_output ? 1 : 0) {}

    // Of the field that is serialised, `field_` points into the object: a copy has its own.
    Plugin(const Plugin& other) : Plugin(other.half_output_ != 0) {}
    Plugin& operator=(const Plugin&) = delete;

    IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept override {
        switch (type) {
            case PluginCapabilityType::kCORE:
                return static_cast<IPluginV3OneCore*>(this);
            case PluginCapabilityType::kBUILD:
                return static_cast<IPluginV3OneBuild*>(this);
            case PluginCapabilityType::kRUNTIME:
                return static_cast<IPluginV3OneRuntime*>(this);
        }
        return nullptr;
    }

    IPluginV3* clone() noexcept override { return new (std::nothrow) Plugin(*this); }

    const char* getPluginName() const noexcept override { return kName; }
    const char* getPluginVersion() const noexcept override { return kVersion; }
    const char* getPluginNamespace() const noexcept override { return kNamespace; }

    int32_t getNbOutputs() const noexcept override { return 1; }

    int32_t configurePlugin(const DynamicPluginTensorDesc* in, int32_t inputs, const DynamicPluginTensorDesc*,
                            int32_t outputs) noexcept override {
        if (inputs != 3 || outputs != 1) {
            return failed("has three inputs and one output");
        }
        return check(in[0].desc.dims, in[1].desc.dims, in[2].desc.dims);
    }

    int32_t getOutputDataTypes(DataType* types, int32_t outputs, const DataType*, int32_t) const noexcept override {
        if (outputs != 1) {
            return failed("has one output");
        }
        types[0] = output_type();
        return 0;
    }

    int32_t getOutputShapes(const DimsExprs* inputs, int32_t input_count, const DimsExprs*, int32_t,
                            DimsExprs* outputs, int32_t output_count, IExprBuilder&) noexcept override {
        if (input_count != 3 || output_count != 1 || inputs[2].nbDims != 2) {
            return failed("takes query [B, S, D], gallery [G, S, D] and candidates [B, K]");
        }
        outputs[0] = inputs[2];
        return 0;
    }

    bool supportsFormatCombination(int32_t position, const DynamicPluginTensorDesc* tensors, int32_t,
                                   int32_t) noexcept override {
        const PluginTensorDesc& tensor = tensors[position].desc;
        if (tensor.format != TensorFormat::kLINEAR) {
            return false;
        }
        switch (position) {
            case 0:
                return tensor.type == DataType::kHALF || tensor.type == DataType::kFLOAT;
            case 1:
                return tensor.type == tensors[0].desc.type;
            case 2:
                return tensor.type == DataType::kINT32;
            default:
                return tensor.type == output_type();
        }
    }

    int32_t onShapeChange(const PluginTensorDesc* in, int32_t inputs, const PluginTensorDesc*,
                          int32_t) noexcept override {
        return inputs == 3 ? check(in[0].dims, in[1].dims, in[2].dims) : failed("has three inputs");
    }

    int32_t enqueue(const PluginTensorDesc* in, const PluginTensorDesc* out, const void* const* inputs,
                    void* const* outputs, void*, cudaStream_t stream) noexcept override {
        const Dims& query = in[0].dims;
        const int32_t error = aligned_reid_local_distance(
            inputs[0], inputs[1], static_cast<const int32_t*>(inputs[2]), outputs[0], query.d[0], in[1].dims.d[0],
            in[2].dims.d[1], static_cast<int32_t>(query.d[1]), static_cast<int32_t>(query.d[2]),
            in[0].type == DataType::kHALF, out[0].type == DataType::kHALF, stream);
        return error == 0 ? 0 : failed(aligned_reid_error(error), error);
    }

    IPluginV3* attachToContext(IPluginResourceContext*) noexcept override { return clone(); }

    const PluginFieldCollection* getFieldsToSerialize() noexcept override { return &fields_; }

   private:
    int32_t half_output_;
    PluginField field_{kHalfOutput, &half_output_, PluginFieldType::kINT32, 1};
    PluginFieldCollection fields_{1, &field_};

    DataType output_type() const noexcept { return half_output_ != 0 ? DataType::kHALF : DataType::kFLOAT; }
};

class Creator final : public IPluginCreatorV3One {
   public:
    IPluginV3* createPlugin(const char*, const PluginFieldCollection* given, TensorRTPhase) noexcept override {
        bool half_output = false;
        for (int32_t i = 0; given != nullptr && i < given->nbFields; ++i) {
            const PluginField& field = given->fields[i];
            if (field.name == nullptr || std::strcmp(field.name, kHalfOutput) != 0) {
                continue;
            }
            if (field.length != 1 || field.data == nullptr) {
                failed("half_output is one integer");
                return nullptr;
            }
            if (field.type == PluginFieldType::kINT32) {
                half_output = *static_cast<const int32_t*>(field.data) != 0;
            } else if (field.type == PluginFieldType::kINT64) {
                half_output = *static_cast<const int64_t*>(field.data) != 0;
            } else {
                failed("half_output is one integer");
                return nullptr;
            }
        }
        return new (std::nothrow) Plugin(half_output);
    }

    const PluginFieldCollection* getFieldNames() noexcept override { return &fields_; }

    const char* getPluginName() const noexcept override { return kName; }
    const char* getPluginVersion() const noexcept override { return kVersion; }
    const char* getPluginNamespace() const noexcept override { return kNamespace; }

   private:
    PluginField field_{kHalfOutput, nullptr, PluginFieldType::kINT32, 1};
    PluginFieldCollection fields_{1, &field_};
};

}  // namespace
}  // namespace aligned_reid

// What TensorRT looks for in a library of plugins.
ALIGNED_REID_API void setLoggerFinder(nvinfer1::ILoggerFinder*) {}  // see above

ALIGNED_REID_API nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) {
    static aligned_reid::Creator creator;
    static nvinfer1::IPluginCreatorInterface* const creators[] = {&creator};
    count = 1;
    return creators;
}
