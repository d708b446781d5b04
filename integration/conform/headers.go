package conform

import "time"

// headerCases are about what every request has: dates, authorization, methods.
func headerCases() section {
	v2 := func(st step, headers ...string) step {
		st = st.with(headers...)
		st.v2 = true
		return st
	}
	var dates []step
	for _, st := range []step{put("/{b}/k", "bar"), put("/{c}", "")} {
		for date, code := range map[string]string{"Bad Date": "AccessDenied", "": "AccessDenied", "Tue, 07 Jul 2010 21:53:04 GMT": "RequestTimeTooSkewed", "Tue, 07 Jul 2099 21:53:04 GMT": "RequestTimeTooSkewed",
			"Tue, 07 Jul 1950 21:53:04 GMT": "AccessDenied", "Tue, 07 Jul 9999 21:53:04 GMT": "RequestTimeTooSkewed"} {
			dates = append(dates, v2(st, "x-amz-date: "+date).fails(403, code))
		}
	}
	now := time.Now().UTC()
	scope := "AWS4-HMAC-SHA256 Credential=AKIAIGR7ZNNBHC5BKSUB/" + now.Format("20060102") + "/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature="
	stamp := []string{"x-amz-date: " + now.Format("20060102T150405Z"), "x-amz-content-sha256: UNSIGNED-PAYLOAD"}
	bare := func(st step, headers ...string) step { return st.by(nobody).with(headers...) }
	return section{"header", []testCase{
		{"version 2 dates", append(dates, v2(put("/{b}/k", "bar")), v2(put("/{c}", "")))},
		{"version 2 bodies", []step{v2(put("/{b}/k", "bar"), "Content-MD5: "+barMD5), v2(put("/{b}/k", "bar"), "Content-MD5: AWS HAHAHA").fails(400, "InvalidDigest"), v2(put("/{b}/k", "bar"), "User-Agent: "), v2(put("/{b}/k", "bar"), "Content-Type: ")}},
		{"authorization", []step{
			bare(put("/{b}/k", "bar"), "Authorization: ").fails(403, "AccessDenied"), bare(put("/{c}", ""), "Authorization: ").fails(403, "AccessDenied"), bare(put("/{b}/k", "bar")).fails(403, "AccessDenied"), bare(put("/{c}", "")).fails(403, "AccessDenied"),
			bare(put("/{b}/k", "bar"), "Authorization: AWS HAHAHA").fails(400, "InvalidArgument"), bare(put("/{c}", ""), "Authorization: AWS HAHAHA").fails(400, "InvalidArgument"), bare(put("/{b}/k", "bar"), "Authorization: Basic abc").fails(400, "InvalidArgument"),
			bare(put("/{b}/k", "bar"), "Authorization: AWS4-HMAC-SHA256 HAHAHA").fails(400, "AuthorizationHeaderMalformed"), bare(put("/{b}/k", "bar"), "Authorization: AWS AKIAIGR7ZNNBHC5BKSUB:FWeDfwojDSdS2Ztmpfeubhd9isU=", "Date: "+now.Format("Mon, 02 Jan 2006 15:04:05 GMT")).fails(403, "InvalidAccessKeyId"),
			bare(put("/{b}/k", "bar"), append(stamp, "Authorization: "+scope+"0000000000000000000000000000000000000000000000000000000000000000")...).fails(403, "InvalidAccessKeyId"),
			bare(put("/{b}/k", "bar"), append(stamp, "Authorization: "+scope+"00")...).fails(400, "AuthorizationHeaderMalformed"),
			bare(put("/{b}/k", "bar"), "Authorization: "+scope+"0000000000000000000000000000000000000000000000000000000000000000", "x-amz-date: "+now.Add(-time.Hour).Format("20060102T150405Z"), stamp[1]).fails(403, "RequestTimeTooSkewed").shows("<RequestTime>"+now.Add(-time.Hour).Format("20060102T150405Z")+"</RequestTime><ServerTime>", "<MaxAllowedSkewMilliseconds>900000<"),
			bare(put("/{b}/k", "bar"), "Authorization: "+scope+"0000000000000000000000000000000000000000000000000000000000000000", "x-amz-date: 19500707T215304Z", stamp[1]).fails(403, "AccessDenied"),
			bare(put("/{b}/k", "bar"), "Authorization: "+scope+"0000000000000000000000000000000000000000000000000000000000000000", "x-amz-date: Bad Date", stamp[1]).fails(403, "AccessDenied"),
		}},
		{"presigned", []step{
			presigned("0").fails(403, "AccessDenied"), presigned("-7").fails(403, "AccessDenied"), presigned("609901").fails(403, "AccessDenied"), presigned("99999999999999999999").fails(403, "AccessDenied"), presigned("1m").fails(400, "AuthorizationQueryParametersError"),
			presigned("604800").fails(403, "InvalidAccessKeyId"),
		}},
	}}
}

// presigned is a GET by nobody's URL with the given life.
func presigned(seconds string) step {
	now := time.Now().UTC()
	return get("/{b}/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIGR7ZNNBHC5BKSUB%2F" + now.Format("20060102") + "%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=" + now.Format("20060102T150405Z") +
		"&X-Amz-Expires=" + seconds + "&X-Amz-SignedHeaders=host&X-Amz-Signature=0000000000000000000000000000000000000000000000000000000000000000").by(nobody)
}
