package northbound

import (
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	v1 "poolwire/proto/poolwire/v1"
)

// answerType and requestType find the messages of a method of poolwire.v1 in its
// descriptors; nil for other methods.
func answerType(method string) protoreflect.MessageType {
	if d := methodOf(method); d != nil {
		return messageType(d.Output())
	}
	return nil
}

func requestType(method string) protoreflect.MessageType {
	if d := methodOf(method); d != nil {
		return messageType(d.Input())
	}
	return nil
}

func messageType(d protoreflect.MessageDescriptor) protoreflect.MessageType {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil
	}
	return t
}

func methodOf(method string) protoreflect.MethodDescriptor {
	name := protoreflect.FullName(dotted(method))
	if name.Parent().Parent() != v1.File_poolwire_v1_pool_proto.Package() {
		return nil
	}
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return nil
	}
	m, _ := d.(protoreflect.MethodDescriptor)
	return m
}

// dotted turns "/pkg.Service/Method" into "pkg.Service.Method".
func dotted(method string) string {
	out := []byte(method)
	for i, b := range out {
		if b == '/' {
			out[i] = '.'
		}
	}
	if len(out) > 0 && out[0] == '.' {
		out = out[1:]
	}
	return string(out)
}
