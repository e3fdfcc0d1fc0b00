// Command apidocs writes the reference of the gRPC API from the comments in
// its protobuf files.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"os/exec"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Numbers of the fields that lead to a declaration in descriptor.proto; they
// make up the paths of SourceCodeInfo.
const (
	fileMessage, fileEnum, fileService = 4, 5, 6
	messageField                       = 2
	enumValue                          = 2
	serviceMethod                      = 2
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: apidocs FILE")
	}
	set, err := describe()
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[1], render(set), 0o644); err != nil {
		log.Fatal(err)
	}
}

// describe compiles the protobuf files, comments included.
func describe() (*descriptorpb.FileDescriptorSet, error) {
	cmd := exec.Command("../bin/buf", "build", "..", "--as-file-descriptor-set", "-o", "-")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("buf build: %w", err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	return set, proto.Unmarshal(out, set)
}

func render(set *descriptorpb.FileDescriptorSet) []byte {
	var b bytes.Buffer
	b.WriteString("# gRPC API\n\nPackage `poolwire.v1`. Generated from the comments in `proto/poolwire/v1`.\n\n" +
		"Every mutation returns a revision; `ClusterService.WaitForHosts` tells when the hosts have confirmed it. Errors are\n" +
		"`google.rpc.Status` with `google.rpc.BadRequest` field violations. gRPC health checking and reflection are on.\n")
	files := slices.DeleteFunc(slices.Clone(set.File), func(f *descriptorpb.FileDescriptorProto) bool { return f.GetPackage() != "poolwire.v1" })
	slices.SortFunc(files, func(a, b *descriptorpb.FileDescriptorProto) int { return strings.Compare(a.GetName(), b.GetName()) })
	for _, f := range files {
		c := newComments(f)
		for i, s := range f.Service {
			fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| method | what it does |\n| --- | --- |\n", s.GetName(), c.at(fileService, i))
			for j, m := range s.Method {
				stream := ""
				if m.GetServerStreaming() {
					stream = " (stream)"
				}
				fmt.Fprintf(&b, "| `%s`%s | %s |\n", m.GetName(), stream, c.cell(fileService, i, serviceMethod, j))
			}
		}
		for i, m := range f.MessageType {
			fmt.Fprintf(&b, "\n### %s\n\n%s\n", m.GetName(), c.at(fileMessage, i))
			writeFields(&b, c, i, m)
		}
		for i, e := range f.EnumType {
			fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| value | meaning |\n| --- | --- |\n", e.GetName(), c.at(fileEnum, i))
			for j, v := range e.Value {
				fmt.Fprintf(&b, "| `%s` | %s |\n", v.GetName(), c.cell(fileEnum, i, enumValue, j))
			}
		}
	}
	return b.Bytes()
}

func writeFields(b *bytes.Buffer, c comments, i int, m *descriptorpb.DescriptorProto) {
	if len(m.Field) == 0 {
		return
	}
	b.WriteString("\n| field | type | meaning |\n| --- | --- | --- |\n")
	for j, f := range m.Field {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.GetName(), typeName(f), c.cell(fileMessage, i, messageField, j))
	}
}

func typeName(f *descriptorpb.FieldDescriptorProto) string {
	name := strings.ToLower(strings.TrimPrefix(f.GetType().String(), "TYPE_"))
	if f.GetTypeName() != "" {
		name = strings.TrimPrefix(strings.TrimPrefix(f.GetTypeName(), "."), "poolwire.v1.")
	}
	if f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED {
		return "repeated " + name
	}
	return name
}

// comments maps the path of a declaration to its leading comment.
type comments map[string]string

func newComments(f *descriptorpb.FileDescriptorProto) comments {
	c := comments{}
	for _, l := range f.GetSourceCodeInfo().GetLocation() {
		if text := strings.TrimSpace(l.GetLeadingComments()); text != "" {
			c[fmt.Sprint(l.Path)] = text
		}
	}
	return c
}

func (c comments) at(path ...int) string { return c[fmt.Sprint(path)] }

// cell is a comment on one line, for a table.
func (c comments) cell(path ...int) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(c.at(path...)), " "), "|", `\|`)
}
