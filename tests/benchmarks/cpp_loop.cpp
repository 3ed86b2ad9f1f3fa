// Times one method of an ExecuTorch program in C++ and prints where a call's time goes, as one JSON object for each
// request on standard input: "WARMUP SAMPLES", the calls that do not count and those that do.
//
// cpp_loop PROGRAM THREADS [INPUTS]
//
// The program is loaded as ExecuTorch's Python bindings load it: mapped into memory, with planned buffers from the heap.
// INPUTS is a file of raw input tensors, one complete set of inputs after the other; a call takes the sets in turn.
// Without it every input is zeros. A call is split by four clock readings into copying the inputs in, `execute`, and
// copying the outputs out. All figures are medians in milliseconds.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include <executorch/extension/data_loader/mmap_data_loader.h>
#include <executorch/extension/memory_allocator/malloc_memory_allocator.h>
#include <executorch/runtime/executor/method.h>
#include <executorch/runtime/executor/program.h>
#include <executorch/runtime/platform/runtime.h>

// The wheel ships the library of the thread pool, but not this header of it. Only its address is used here.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t num_threads);
};
ThreadPool* get_threadpool();
} // namespace executorch::extension::threadpool

using executorch::aten::Tensor;
using executorch::aten::TensorImpl;
using executorch::extension::MallocMemoryAllocator;
using executorch::extension::MmapDataLoader;
using executorch::runtime::EValue;
using executorch::runtime::Error;
using executorch::runtime::HierarchicalAllocator;
using executorch::runtime::MemoryManager;
using executorch::runtime::Method;
using executorch::runtime::MethodMeta;
using executorch::runtime::Program;
using executorch::runtime::Result;
using executorch::runtime::Span;
using executorch::runtime::Tag;
using Clock = std::chrono::steady_clock;

namespace {

double ms_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double, std::milli>(end - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

[[noreturn]] void fail(const char* what, Error error = Error::Ok) {
  std::fprintf(stderr, "%s (error 0x%x)\n", what, static_cast<unsigned>(error));
  std::exit(1);
}

template <typename T>
T& value_of(Result<T>& result, const char* what) {
  if (!result.ok()) {
    fail(what, result.error());
  }
  return result.get();
}

// One complete set of inputs, with the memory that its tensors point to.
struct InputSet {
  std::vector<std::vector<uint8_t>> data;
  std::vector<std::unique_ptr<TensorImpl>> tensors;
  std::vector<EValue> values;
};

InputSet read_set(const MethodMeta& meta, std::istream* file) {
  InputSet set;
  for (size_t i = 0; i < meta.num_inputs(); ++i) {
    auto info = meta.input_tensor_meta(i);
    auto& tensor = value_of(info, "an input is not a tensor");
    set.data.emplace_back(tensor.nbytes());
    if (file != nullptr) {
      file->read(reinterpret_cast<char*>(set.data.back().data()), static_cast<std::streamsize>(tensor.nbytes()));
    }
    set.tensors.push_back(std::make_unique<TensorImpl>(
        tensor.scalar_type(),
        tensor.sizes().size(),
        const_cast<TensorImpl::SizesType*>(tensor.sizes().data()),
        set.data.back().data(),
        const_cast<TensorImpl::DimOrderType*>(tensor.dim_order().data())));
    set.values.emplace_back(Tensor(set.tensors.back().get()));
  }
  return set;
}

std::vector<InputSet> read_sets(const MethodMeta& meta, const char* path) {
  std::vector<InputSet> sets;
  if (path == nullptr) {
    sets.push_back(read_set(meta, nullptr));
    return sets;
  }
  std::ifstream file(path, std::ios::binary);
  while (file.peek() != std::ifstream::traits_type::eof()) {
    sets.push_back(read_set(meta, &file));
    if (!file) {
      fail("the file of inputs is cut short");
    }
  }
  if (sets.empty()) {
    fail("the file of inputs is empty or missing");
  }
  return sets;
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fail("usage: cpp_loop PROGRAM THREADS [INPUTS]");
  }
  const auto threads = static_cast<uint32_t>(std::atoi(argv[2]));

  executorch::runtime::runtime_init();
  auto* pool = executorch::extension::threadpool::get_threadpool();
  if (!pool->_unsafe_reset_threadpool(threads) || pool->get_thread_count() != threads) {
    fail("the thread pool did not take the number of threads");
  }

  auto loader = MmapDataLoader::from(argv[1], MmapDataLoader::MlockConfig::UseMlockIgnoreErrors);
  auto& data = value_of(loader, "cannot open the program");
  auto loaded = Program::load(&data, Program::Verification::Minimal);
  auto& program = value_of(loaded, "cannot load the program");
  auto name = program.get_method_name(0);
  auto described = program.method_meta(value_of(name, "the program has no method"));
  const auto& meta = value_of(described, "cannot read the method");

  std::vector<std::vector<uint8_t>> buffers;
  std::vector<Span<uint8_t>> spans;
  for (size_t i = 0; i < meta.num_memory_planned_buffers(); ++i) {
    auto size = meta.memory_planned_buffer_size(i);
    buffers.emplace_back(static_cast<size_t>(value_of(size, "cannot read the memory plan")));
    spans.emplace_back(buffers.back().data(), buffers.back().size());
  }
  HierarchicalAllocator planned({spans.data(), spans.size()});
  MallocMemoryAllocator allocator, temporary;
  MemoryManager memory(&allocator, &planned, &temporary);
  auto method_loaded = program.load_method(name.get(), &memory);
  auto& method = value_of(method_loaded, "cannot load the method");

  std::vector<std::vector<uint8_t>> outputs(meta.num_outputs());
  for (size_t i = 0; i < outputs.size(); ++i) {
    auto info = meta.output_tensor_meta(i);
    auto& tensor = value_of(info, "an output is not a tensor");
    outputs[i].resize(tensor.nbytes());
    if (!tensor.is_memory_planned()) {
      fail("an output has no planned memory");
    }
  }
  auto sets = read_sets(meta, argc > 3 ? argv[3] : nullptr);

  int warmup = 0, samples = 0;
  std::vector<EValue> results(outputs.size());
  size_t number = 0;
  while (std::scanf("%d %d", &warmup, &samples) == 2) {
    std::vector<double> inputs_ms, execute_ms, outputs_ms, call_ms;
    for (int done = 0; done < warmup + samples; ++done) {
      const auto& set = sets[number++ % sets.size()];
      const auto start = Clock::now();
      Error error = method.set_inputs({set.values.data(), set.values.size()});
      const auto copied_in = Clock::now();
      if (error == Error::Ok) {
        error = method.execute();
      }
      const auto executed = Clock::now();
      if (error == Error::Ok) {
        error = method.get_outputs(results.data(), results.size());
      }
      for (size_t i = 0; error == Error::Ok && i < results.size(); ++i) {
        const auto& tensor = results[i].toTensor();
        std::memcpy(outputs[i].data(), tensor.const_data_ptr(), tensor.nbytes());
      }
      const auto end = Clock::now();
      if (error != Error::Ok) {
        fail("the method failed", error);
      }
      if (done >= warmup) {
        inputs_ms.push_back(ms_between(start, copied_in));
        execute_ms.push_back(ms_between(copied_in, executed));
        outputs_ms.push_back(ms_between(executed, end));
        call_ms.push_back(ms_between(start, end));
      }
    }
    std::printf(
        "{\"inputs_ms\": %.6f, \"execute_ms\": %.6f, \"outputs_ms\": %.6f, \"call_ms\": %.6f}\n",
        median(inputs_ms),
        median(execute_ms),
        median(outputs_ms),
        median(call_ms));
    std::fflush(stdout);
  }
  return 0;
}
