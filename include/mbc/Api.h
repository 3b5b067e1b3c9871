//===- Api.h - What libmbc exports ------------------------------*- C++ -*-===//
#pragma once

/// Marks what the shared library exports; everything else in it is hidden.
#define MBC_API __attribute__((visibility("default")))
