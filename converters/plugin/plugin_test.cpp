// The plugin as TensorRT calls it while it builds an engine, without TensorRT: interfaces, shapes, types, fields, errors.
// Argument: the plugin's library, which may have been built with the headers of another TensorRT than this program.
#include <NvInferRuntime.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <initializer_list>

namespace {

using namespace nvinfer1;

int failures = 0;

void expect(bool right, const char* what) {
    if (!right) {
        ++failures;
        std::printf("fails: %s\n", what);
    }
}

// TensorRT makes the expressions of shapes; the plugin only hands on those that it gets.
class Builder final : public IExprBuilder {};

DynamicPluginTensorDesc tensor(DataType type, std::initializer_list<int64_t> sizes) {
    DynamicPluginTensorDesc made{};
    made.desc.type = type;
    made.desc.format = TensorFormat::kLINEAR;
    for (const int64_t size : sizes) {
        made.desc.dims.d[made.desc.dims.nbDims++] = size;
    }
    return made;
}

}  // namespace

int main(int, char** argv) {
    void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        std::printf("%s\n", dlerror());
        return 1;
    }
    const auto get_creators =
        reinterpret_cast<IPluginCreatorInterface* const* (*)(int32_t&)>(dlsym(library, "getCreators"));
    if (get_creators == nullptr || dlsym(library, "setLoggerFinder") == nullptr) {
        std::printf("the library does not export what TensorRT looks for\n");
        return 1;
    }
    int32_t count = 0;
    auto* const creator = static_cast<IPluginCreatorV3One*>(get_creators(count)[0]);
    expect(count == 1, "one creator");
    expect(std::strcmp(creator->getPluginName(), "AlignedLocalDistance") == 0, "its name");
    expect(std::strcmp(creator->getPluginNamespace(), "reid") == 0, "its namespace is the node's domain");

    IPluginV3* const plugin = creator->createPlugin("pairs", nullptr, TensorRTPhase::kBUILD);
    auto* const core = static_cast<IPluginV3OneCore*>(plugin->getCapabilityInterface(PluginCapabilityType::kCORE));
    auto* const build = static_cast<IPluginV3OneBuild*>(plugin->getCapabilityInterface(PluginCapabilityType::kBUILD));
    auto* const run = static_cast<IPluginV3OneRuntime*>(plugin->getCapabilityInterface(PluginCapabilityType::kRUNTIME));
    expect(std::strcmp(core->getPluginVersion(), "1") == 0, "its version");
    expect(build->getNbOutputs() == 1, "one output");

    const auto half = DataType::kHALF, single = DataType::kFLOAT, index = DataType::kINT32;
    DynamicPluginTensorDesc all[] = {tensor(half, {-1, 8, 128}), tensor(half, {-1, 8, 128}), tensor(index, {-1, -1}),
                                     tensor(single, {-1, -1})};
    expect(build->configurePlugin(all, 3, all + 3, 1) == 0, "dynamic batch, gallery and candidates");
    const auto refused = [&](int which, std::initializer_list<int64_t> sizes, const char* words) {
        const DynamicPluginTensorDesc before = all[which];
        all[which] = tensor(before.desc.type, sizes);
        expect(build->configurePlugin(all, 3, all + 3, 1) != 0, words);
        all[which] = before;
    };
    refused(0, {-1, 17, 128}, "17 stripes are refused");
    refused(0, {-1, 8, 100}, "a dimension of 100 is refused");
    refused(1, {-1, 7, 128}, "other stripes in the gallery are refused");
    refused(2, {-1}, "candidates of one dimension are refused");
    refused(1, {8, 128}, "a gallery of one person is refused");

    for (const auto stripes : {half, single, DataType::kINT8}) {
        for (const auto other : {half, single}) {
            all[0].desc.type = stripes;
            all[1].desc.type = other;
            const bool right = stripes != DataType::kINT8 && stripes == other;
            const bool taken = build->supportsFormatCombination(0, all, 3, 1) &&
                               build->supportsFormatCombination(1, all, 3, 1) &&
                               build->supportsFormatCombination(2, all, 3, 1) &&
                               build->supportsFormatCombination(3, all, 3, 1);
            expect(taken == right, "half and single precision stripes, both the same");
        }
    }
    all[0].desc.type = all[1].desc.type = half;
    all[0].desc.format = TensorFormat::kCHW2;
    expect(!build->supportsFormatCombination(0, all, 3, 1), "only plain layout");
    all[0].desc.format = TensorFormat::kLINEAR;

    DataType type{};
    const DataType inputs[] = {half, half, index};
    expect(build->getOutputDataTypes(&type, 1, inputs, 3) == 0 && type == single, "distances in single precision");
    Builder builder;
    DimsExprs shapes[3]{}, output{};
    shapes[0].nbDims = shapes[1].nbDims = 3;
    shapes[2].nbDims = 2;
    const IDimensionExpr* const marks[] = {reinterpret_cast<const IDimensionExpr*>(&shapes[0]),
                                           reinterpret_cast<const IDimensionExpr*>(&shapes[1])};
    shapes[2].d[0] = marks[0];
    shapes[2].d[1] = marks[1];
    expect(build->getOutputShapes(shapes, 3, nullptr, 0, &output, 1, builder) == 0 && output.nbDims == 2 &&
               output.d[0] == marks[0] && output.d[1] == marks[1],
           "the output has the candidates' shape");

    // Through the fields that are serialised, and through copies, which must not point into what they were copied from.
    const int64_t yes = 1;
    PluginField field("half_output", &yes, PluginFieldType::kINT64, 1);
    PluginFieldCollection fields{1, &field};
    IPluginV3* const other = creator->createPlugin("pairs", &fields, TensorRTPhase::kBUILD);
    auto* const other_run = static_cast<IPluginV3OneRuntime*>(other->getCapabilityInterface(PluginCapabilityType::kRUNTIME));
    IPluginV3* const attached = other_run->attachToContext(nullptr);
    delete other;
    auto* const attached_run =
        static_cast<IPluginV3OneRuntime*>(attached->getCapabilityInterface(PluginCapabilityType::kRUNTIME));
    const PluginFieldCollection* const kept = attached_run->getFieldsToSerialize();
    IPluginV3* const again = creator->createPlugin("pairs", kept, TensorRTPhase::kRUNTIME);
    auto* const again_build = static_cast<IPluginV3OneBuild*>(again->getCapabilityInterface(PluginCapabilityType::kBUILD));
    expect(kept->nbFields == 1 && again_build->getOutputDataTypes(&type, 1, inputs, 3) == 0 && type == half,
           "half_output outlives serialisation");

    PluginTensorDesc at_run[] = {all[0].desc, all[1].desc, all[2].desc, all[3].desc};
    at_run[0].dims.d[0] = 3;
    at_run[2].dims.d[0] = 4;
    expect(run->onShapeChange(at_run, 3, at_run + 3, 1) != 0, "3 queries with candidates for 4 are refused");
    at_run[2].dims.d[0] = 3;
    at_run[1].dims.d[0] = 5;
    at_run[2].dims.d[1] = 2;
    expect(run->onShapeChange(at_run, 3, at_run + 3, 1) == 0, "shapes that fit");
    const void* const nothing[] = {nullptr, nullptr, nullptr};
    void* const nowhere[] = {nullptr};
    expect(run->enqueue(at_run, at_run + 3, nothing, nowhere, nullptr, nullptr) != 0, "null pointers are refused");

    delete plugin;
    delete attached;
    delete again;
    std::printf("%d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
