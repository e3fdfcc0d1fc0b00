package openflow

import "fmt"

// errorClass names the codes of one error class, in order from code 0.
type errorClass struct {
	prefix string
	codes  []string
}

// errorClassOf gives the names of ofp_error_type and its code enums (OpenFlow 1.3.5 section 7.4.4).
func errorClassOf(kind uint16) (errorClass, bool) {
	classes := [...]errorClass{
		0: {"OFPHFC", []string{"INCOMPATIBLE", "EPERM"}},
		1: {"OFPBRC", []string{"BAD_VERSION", "BAD_TYPE", "BAD_MULTIPART", "BAD_EXPERIMENTER", "BAD_EXP_TYPE", "EPERM", "BAD_LEN", "BUFFER_EMPTY",
			"BUFFER_UNKNOWN", "BAD_TABLE_ID", "IS_SLAVE", "BAD_PORT", "BAD_PACKET", "MULTIPART_BUFFER_OVERFLOW"}},
		2: {"OFPBAC", []string{"BAD_TYPE", "BAD_LEN", "BAD_EXPERIMENTER", "BAD_EXP_TYPE", "BAD_OUT_PORT", "BAD_ARGUMENT", "EPERM", "TOO_MANY", "BAD_QUEUE",
			"BAD_OUT_GROUP", "MATCH_INCONSISTENT", "UNSUPPORTED_ORDER", "BAD_TAG", "BAD_SET_TYPE", "BAD_SET_LEN", "BAD_SET_ARGUMENT"}},
		3: {"OFPBIC", []string{"UNKNOWN_INST", "UNSUP_INST", "BAD_TABLE_ID", "UNSUP_METADATA", "UNSUP_METADATA_MASK", "BAD_EXPERIMENTER", "BAD_EXP_TYPE", "BAD_LEN", "EPERM"}},
		4: {"OFPBMC", []string{"BAD_TYPE", "BAD_LEN", "BAD_TAG", "BAD_DL_ADDR_MASK", "BAD_NW_ADDR_MASK", "BAD_WILDCARDS", "BAD_FIELD", "BAD_VALUE",
			"BAD_MASK", "BAD_PREREQ", "DUP_FIELD", "EPERM"}},
		5: {"OFPFMFC", []string{"UNKNOWN", "TABLE_FULL", "BAD_TABLE_ID", "OVERLAP", "EPERM", "BAD_TIMEOUT", "BAD_COMMAND", "BAD_FLAGS"}},
		6: {"OFPGMFC", []string{"GROUP_EXISTS", "INVALID_GROUP", "WEIGHT_UNSUPPORTED", "OUT_OF_GROUPS", "OUT_OF_BUCKETS", "CHAINING_UNSUPPORTED", "WATCH_UNSUPPORTED",
			"LOOP", "UNKNOWN_GROUP", "CHAINED_GROUP", "BAD_TYPE", "BAD_COMMAND", "BAD_BUCKET", "BAD_WATCH", "EPERM"}},
		7:  {"OFPPMFC", []string{"BAD_PORT", "BAD_HW_ADDR", "BAD_CONFIG", "BAD_ADVERTISE", "EPERM"}},
		8:  {"OFPTMFC", []string{"BAD_TABLE", "BAD_CONFIG", "EPERM"}},
		9:  {"OFPQOFC", []string{"BAD_PORT", "BAD_QUEUE", "EPERM"}},
		10: {"OFPSCFC", []string{"BAD_FLAGS", "BAD_LEN", "EPERM"}},
		11: {"OFPRRFC", []string{"STALE", "UNSUP", "BAD_ROLE"}},
		12: {"OFPMMFC", []string{"UNKNOWN", "METER_EXISTS", "INVALID_METER", "UNKNOWN_METER", "BAD_COMMAND", "BAD_FLAGS", "BAD_RATE", "BAD_BURST", "BAD_BAND",
			"BAD_BAND_VALUE", "OUT_OF_METERS", "OUT_OF_BANDS"}},
		13: {"OFPTFFC", []string{"BAD_TABLE", "BAD_METADATA", "BAD_TYPE", "BAD_LEN", "BAD_ARGUMENT", "EPERM"}},
	}
	if int(kind) >= len(classes) {
		return errorClass{}, false
	}
	return classes[kind], true
}

// onfBundleErrors names the exp_type values from 2300 of the ONF bundle extension (EXT-230).
func onfBundleError(code uint16) (string, bool) {
	names := [...]string{"UNKNOWN", "EPERM", "BAD_ID", "BUNDLE_EXIST", "BUNDLE_CLOSED", "OUT_OF_BUNDLES", "BAD_TYPE", "BAD_FLAGS", "MSG_BAD_LEN", "MSG_BAD_XID",
		"MSG_UNSUP", "MSG_CONFLICT", "MSG_TOO_MANY", "MSG_FAILED", "TIMEOUT", "BUNDLE_IN_PROGRESS"}
	if code < onfBundleFirstError || int(code-onfBundleFirstError) >= len(names) {
		return "", false
	}
	return "OFPBFC_" + names[code-onfBundleFirstError], true
}

// Name gives the specification's name of the error, or its numbers when it has none here.
func (e *SwitchError) Name() string {
	if e.Type == errorTypeExperimenter {
		if e.Experimenter == onfExperimenter {
			if name, ok := onfBundleError(e.Code); ok {
				return name
			}
		}
		return fmt.Sprintf("experimenter 0x%08x error %d", e.Experimenter, e.Code)
	}
	class, ok := errorClassOf(e.Type)
	if !ok || int(e.Code) >= len(class.codes) {
		return fmt.Sprintf("error type %d code %d", e.Type, e.Code)
	}
	return class.prefix + "_" + class.codes[e.Code]
}
