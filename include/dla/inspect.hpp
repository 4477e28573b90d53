// SPDX-License-Identifier: MIT
// Looking into a network: its table, its picture, statistics of its gradients, and a checker for backward passes of your own.
#pragma once

#include <dla/inspect/grad_check.hpp>
#include <dla/inspect/grad_stats.hpp>
#include <dla/inspect/graph.hpp>
#include <dla/inspect/layer_tree.hpp>
#include <dla/inspect/profile.hpp>
#include <dla/inspect/summary.hpp>
