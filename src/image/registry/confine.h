/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-pull can touch while it talks to registries.
 *
 * It runs large libraries on the words of strangers, as the user. Whoever takes it over by them
 * keeps the network and the image store; the user's other files are out of reach, as far as the
 * kernel has Landlock.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

/**
 * pull_confine - from now on only the store is written, only the system and the store are read
 * @home: $MSB_HOME, with its images directory
 * @layer_program: stays executable
 *
 * Context: before any thread, after everything of the user's was read. Without Landlock, or with
 * one that cannot tell a rename from a theft (version 1), nothing changes.
 */
int pull_confine(const char *home, const char *layer_program, struct msb_err *err) MSB_MUST_CHECK;
