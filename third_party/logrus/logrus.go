// Package logrus stands in for the logging module that libOpenflow imports
// under a spelling that no longer resolves. It offers exactly the functions
// libOpenflow calls and forwards them to log/slog at debug level, because
// Poolwire uses libOpenflow as an encoder only and reports errors itself.
package logrus

import (
	"fmt"
	"log/slog"
)

// Debugf logs a formatted message.
func Debugf(format string, args ...any) { slog.Debug(fmt.Sprintf(format, args...)) }

// Infof logs a formatted message.
func Infof(format string, args ...any) { slog.Debug(fmt.Sprintf(format, args...)) }

// Errorf logs a formatted message.
func Errorf(format string, args ...any) { slog.Debug(fmt.Sprintf(format, args...)) }

// Printf logs a formatted message.
func Printf(format string, args ...any) { slog.Debug(fmt.Sprintf(format, args...)) }

// Warnln logs its operands.
func Warnln(args ...any) { slog.Debug(fmt.Sprint(args...)) }
