// SPDX-License-Identifier: MIT
// Everything that reads and writes files: safetensors, TensorBoard events, JSON, NumPy arrays, PNG images, plots.
#pragma once

#include <dla/io/atomic_file.hpp>
#include <dla/io/folder_lock.hpp>
#include <dla/io/gnuplot.hpp>
#include <dla/io/json.hpp>
#include <dla/io/npy.hpp>
#include <dla/io/plot.hpp>
#include <dla/io/png.hpp>
#include <dla/io/process.hpp>
#include <dla/io/safetensors.hpp>
#include <dla/io/tensorboard.hpp>
#include <dla/io/wire.hpp>
