// Package version holds the version of the build.
package version

// Version is set by the linker: a tag, or a commit.
var Version = "dev"
