// SPDX-License-Identifier: MIT
// Networks: layers, composition, models, losses, optimizers, on the CPU.
#pragma once

#include <dla/kernels/cpu.hpp>
#include <dla/kernels/reference.hpp>

#include <dla/layers/activation.hpp>
#include <dla/layers/conv2d.hpp>
#include <dla/layers/conv_transpose2d.hpp>
#include <dla/layers/dropout.hpp>
#include <dla/layers/group_norm.hpp>
#include <dla/layers/linear.hpp>
#include <dla/layers/norm.hpp>
#include <dla/layers/pad2d.hpp>
#include <dla/layers/pool2d.hpp>
#include <dla/layers/prelu.hpp>
#include <dla/layers/reshape.hpp>
#include <dla/layers/upsample2d.hpp>

#include <dla/compose/repeat.hpp>
#include <dla/compose/parallel.hpp>
#include <dla/compose/residual.hpp>
#include <dla/compose/sequential.hpp>

#include <dla/loss/cross_entropy.hpp>
#include <dla/loss/elementwise.hpp>
#include <dla/loss/soft_cross_entropy.hpp>

#include <dla/optim/adam.hpp>
#include <dla/optim/make_optimizer.hpp>
#include <dla/optim/muon.hpp>
#include <dla/optim/schedule.hpp>
#include <dla/optim/sgd.hpp>

#if defined(DLA_KERNELS_IMPLEMENT)
#include <dla/model/any_model.hpp>  // the file that compiles for all others brings this, too
#endif
#include <dla/model/memory.hpp>
#include <dla/model/model.hpp>
#include <dla/model/train_step.hpp>

#include <dla/version.hpp>
