// SPDX-License-Identifier: MIT
// Training: trainer, checkpoints, metrics, progress, weights files.
#pragma once

#include <dla/train/callback.hpp>
#include <dla/train/checkpoint.hpp>
#include <dla/train/evaluate.hpp>
#include <dla/train/doctor.hpp>
#include <dla/train/fit.hpp>
#include <dla/train/metric.hpp>
#include <dla/train/metrics.hpp>
#include <dla/train/progress.hpp>
#include <dla/train/run_files.hpp>
#include <dla/train/run_log.hpp>
#include <dla/train/run_place.hpp>
#include <dla/train/run_state.hpp>
#include <dla/train/signals.hpp>
#include <dla/train/trainer.hpp>
#include <dla/train/weights.hpp>
#include <dla/train/whitening.hpp>
