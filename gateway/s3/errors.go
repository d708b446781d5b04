package s3

import "net/http"

// Error is a failure as S3 shows it to a client: the code and the status are part of the protocol, the message is for people. The values of this file are
// shared and immutable; [Error.With] makes one with another message. Decide with errors.Is(err, s3.ErrNoSuchKey), which compares codes, or take it
// out of a chain with errors.AsType[*s3.Error].
type Error struct {
	Code    string // as in the API reference, "Error responses"
	Message string // a sentence; never holds secrets
	Status  int    // HTTP status
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Is reports whether target is an *Error of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// With returns an error of the same code and status with another message.
func (e *Error) With(message string) *Error {
	return &Error{Code: e.Code, Message: message, Status: e.Status}
}

// The errors of the S3 API (API reference, "Error responses", and the pages of the operations). Where a code has several statuses the one of the
// common case is used.
var (
	ErrAccessDenied                       = &Error{"AccessDenied", "Access Denied.", http.StatusForbidden}
	ErrAccessControlListNotSupported      = &Error{"AccessControlListNotSupported", "The bucket does not allow ACLs.", http.StatusBadRequest}
	ErrAccountProblem                     = &Error{"AccountProblem", "There is a problem with your account that prevents the operation from completing successfully.", http.StatusForbidden}
	ErrAmbiguousGrantByEmailAddress       = &Error{"AmbiguousGrantByEmailAddress", "The e-mail address you provided is associated with more than one account.", http.StatusBadRequest}
	ErrAuthorizationHeaderMalformed       = &Error{"AuthorizationHeaderMalformed", "The authorization header that you provided is not valid.", http.StatusBadRequest}
	ErrAuthorizationQueryParameters       = &Error{"AuthorizationQueryParametersError", "The authorization query parameters that you provided are not valid.", http.StatusBadRequest}
	ErrBadDigest                          = &Error{"BadDigest", "The Content-MD5 or checksum value that you specified did not match what the server received.", http.StatusBadRequest}
	ErrBadRequest                         = &Error{"BadRequest", "The request is not valid.", http.StatusBadRequest}
	ErrBucketAlreadyExists                = &Error{"BucketAlreadyExists", "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Select a different name and try again.", http.StatusConflict}
	ErrBucketAlreadyOwnedByYou            = &Error{"BucketAlreadyOwnedByYou", "The bucket that you tried to create already exists, and you own it.", http.StatusConflict}
	ErrBucketNotEmpty                     = &Error{"BucketNotEmpty", "The bucket that you tried to delete is not empty.", http.StatusConflict}
	ErrConditionalRequestConflict         = &Error{"ConditionalRequestConflict", "A conflicting operation occurred during the conditional request. Try again.", http.StatusConflict}
	ErrCredentialsNotSupported            = &Error{"CredentialsNotSupported", "This request does not support credentials.", http.StatusBadRequest}
	ErrCrossLocationLoggingProhibited     = &Error{"CrossLocationLoggingProhibited", "Cross-location logging is not allowed.", http.StatusForbidden}
	ErrEntityTooLarge                     = &Error{"EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size.", http.StatusBadRequest}
	ErrEntityTooSmall                     = &Error{"EntityTooSmall", "Your proposed upload is smaller than the minimum allowed object size.", http.StatusBadRequest}
	ErrExpiredToken                       = &Error{"ExpiredToken", "The provided token has expired.", http.StatusBadRequest}
	ErrIllegalLocationConstraint          = &Error{"IllegalLocationConstraintException", "The specified location constraint is not valid for this endpoint.", http.StatusBadRequest}
	ErrIllegalVersioningConfiguration     = &Error{"IllegalVersioningConfigurationException", "The versioning configuration specified in the request is not valid.", http.StatusBadRequest}
	ErrIncompleteBody                     = &Error{"IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header.", http.StatusBadRequest}
	ErrIncorrectNumberOfFilesInPost       = &Error{"IncorrectNumberOfFilesInPostRequest", "POST requires exactly one file upload per request.", http.StatusBadRequest}
	ErrInlineDataTooLarge                 = &Error{"InlineDataTooLarge", "The inline data exceeds the maximum allowed size.", http.StatusBadRequest}
	ErrInsufficientStorage                = &Error{"InsufficientStorage", "The storage has no room for this request. Reads and deletions go on.", http.StatusInsufficientStorage}
	ErrInternalError                      = &Error{"InternalError", "An internal error occurred. Try again.", http.StatusInternalServerError}
	ErrInvalidAccessKeyID                 = &Error{"InvalidAccessKeyId", "The access key ID that you provided does not exist in our records.", http.StatusForbidden}
	ErrInvalidACL                         = &Error{"InvalidACL", "The ACL that you provided is not valid.", http.StatusBadRequest}
	ErrInvalidArgument                    = &Error{"InvalidArgument", "A specified argument was not valid.", http.StatusBadRequest}
	ErrInvalidBucketACLWithOwnership      = &Error{"InvalidBucketAclWithObjectOwnership", "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting.", http.StatusBadRequest}
	ErrInvalidBucketName                  = &Error{"InvalidBucketName", "The specified bucket is not valid.", http.StatusBadRequest}
	ErrInvalidBucketState                 = &Error{"InvalidBucketState", "The request is not valid for the current state of the bucket.", http.StatusConflict}
	ErrInvalidChunkSize                   = &Error{"InvalidChunkSizeError", "The chunk size of the request body is not valid.", http.StatusBadRequest}
	ErrInvalidDigest                      = &Error{"InvalidDigest", "The Content-MD5 or checksum value that you specified is not valid.", http.StatusBadRequest}
	ErrInvalidEncryptionAlgorithm         = &Error{"InvalidEncryptionAlgorithmError", "The encryption request that you specified is not valid.", http.StatusBadRequest}
	ErrInvalidHTTPMethod                  = &Error{"InvalidHTTPMethod", "The HTTP method is not valid for this request.", http.StatusBadRequest}
	ErrInvalidLocationConstraint          = &Error{"InvalidLocationConstraint", "The specified location constraint is not valid.", http.StatusBadRequest}
	ErrInvalidObjectState                 = &Error{"InvalidObjectState", "The operation is not valid for the current state of the object.", http.StatusForbidden}
	ErrInvalidPart                        = &Error{"InvalidPart", "One or more of the specified parts could not be found. The part might not have been uploaded, or the specified entity tag might not have matched the part's entity tag.", http.StatusBadRequest}
	ErrInvalidPartNumber                  = &Error{"InvalidPartNumber", "The requested partnumber is not satisfiable.", http.StatusRequestedRangeNotSatisfiable}
	ErrInvalidPartOrder                   = &Error{"InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number.", http.StatusBadRequest}
	ErrInvalidPolicyDocument              = &Error{"InvalidPolicyDocument", "The content of the form does not meet the conditions specified in the policy document.", http.StatusBadRequest}
	ErrInvalidRange                       = &Error{"InvalidRange", "The requested range is not satisfiable.", http.StatusRequestedRangeNotSatisfiable}
	ErrInvalidRequest                     = &Error{"InvalidRequest", "The request is not valid.", http.StatusBadRequest}
	ErrInvalidRetentionPeriod             = &Error{"InvalidRetentionPeriod", "The retention period must be a positive integer value.", http.StatusBadRequest}
	ErrInvalidSecurity                    = &Error{"InvalidSecurity", "The provided security credentials are not valid.", http.StatusForbidden}
	ErrInvalidStorageClass                = &Error{"InvalidStorageClass", "The storage class that you specified is not valid.", http.StatusBadRequest}
	ErrInvalidTag                         = &Error{"InvalidTag", "The tag provided was not valid.", http.StatusBadRequest}
	ErrInvalidTargetBucketForLogging      = &Error{"InvalidTargetBucketForLogging", "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants for the log-delivery group.", http.StatusBadRequest}
	ErrInvalidToken                       = &Error{"InvalidToken", "The provided token is malformed or otherwise not valid.", http.StatusBadRequest}
	ErrInvalidURI                         = &Error{"InvalidURI", "Couldn't parse the specified URI.", http.StatusBadRequest}
	ErrKeyTooLong                         = &Error{"KeyTooLongError", "Your key is too long.", http.StatusBadRequest}
	ErrMalformedACL                       = &Error{"MalformedACLError", "The ACL that you provided was not well formed or did not validate against our published schema.", http.StatusBadRequest}
	ErrMalformedPolicy                    = &Error{"MalformedPolicy", "The policy is not valid.", http.StatusBadRequest}
	ErrMalformedPOSTRequest               = &Error{"MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data.", http.StatusBadRequest}
	ErrMalformedTrailer                   = &Error{"MalformedTrailerError", "The request contained trailing data that was not well-formed or did not conform to our published schema.", http.StatusBadRequest}
	ErrMalformedXML                       = &Error{"MalformedXML", "The XML that you provided was not well formed or did not validate against our published schema.", http.StatusBadRequest}
	ErrMaxMessageLengthExceeded           = &Error{"MaxMessageLengthExceeded", "Your request was too large.", http.StatusBadRequest}
	ErrMaxPostPreDataLengthExceeded       = &Error{"MaxPostPreDataLengthExceededError", "Your POST request fields preceding the upload file were too large.", http.StatusBadRequest}
	ErrMetadataTooLarge                   = &Error{"MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size.", http.StatusBadRequest}
	ErrMethodNotAllowed                   = &Error{"MethodNotAllowed", "The specified method is not allowed against this resource.", http.StatusMethodNotAllowed}
	ErrMissingAttachment                  = &Error{"MissingAttachment", "A SOAP attachment was expected, but none was found.", http.StatusBadRequest}
	ErrMissingAuthenticationToken         = &Error{"MissingAuthenticationToken", "The request was not signed.", http.StatusForbidden}
	ErrMissingContentLength               = &Error{"MissingContentLength", "You must provide the Content-Length HTTP header.", http.StatusLengthRequired}
	ErrMissingRequestBody                 = &Error{"MissingRequestBodyError", "Request body is empty.", http.StatusBadRequest}
	ErrMissingSecurityElement             = &Error{"MissingSecurityElement", "The request is missing a security element.", http.StatusBadRequest}
	ErrMissingSecurityHeader              = &Error{"MissingSecurityHeader", "Your request is missing a required header.", http.StatusBadRequest}
	ErrNoSuchBucket                       = &Error{"NoSuchBucket", "The specified bucket does not exist.", http.StatusNotFound}
	ErrNoSuchBucketPolicy                 = &Error{"NoSuchBucketPolicy", "The specified bucket does not have a bucket policy.", http.StatusNotFound}
	ErrNoSuchCORSConfiguration            = &Error{"NoSuchCORSConfiguration", "The CORS configuration does not exist.", http.StatusNotFound}
	ErrNoSuchKey                          = &Error{"NoSuchKey", "The specified key does not exist.", http.StatusNotFound}
	ErrNoSuchLifecycleConfiguration       = &Error{"NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist.", http.StatusNotFound}
	ErrNoSuchObjectLockConfiguration      = &Error{"NoSuchObjectLockConfiguration", "The specified object does not have an ObjectLock configuration.", http.StatusNotFound}
	ErrNoSuchPublicAccessBlock            = &Error{"NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found.", http.StatusNotFound}
	ErrNoSuchTagSet                       = &Error{"NoSuchTagSet", "The TagSet does not exist.", http.StatusNotFound}
	ErrNoSuchUpload                       = &Error{"NoSuchUpload", "The specified multipart upload does not exist. The upload ID might not be valid, or the multipart upload might have been aborted or completed.", http.StatusNotFound}
	ErrNoSuchVersion                      = &Error{"NoSuchVersion", "The version ID specified in the request does not match an existing version.", http.StatusNotFound}
	ErrNoSuchWebsiteConfiguration         = &Error{"NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration.", http.StatusNotFound}
	ErrNotImplemented                     = &Error{"NotImplemented", "A header, parameter or operation that you asked for is not implemented.", http.StatusNotImplemented}
	ErrNotModified                        = &Error{"NotModified", "Not Modified", http.StatusNotModified}
	ErrObjectLockConfigurationNotFound    = &Error{"ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket.", http.StatusNotFound}
	ErrOperationAborted                   = &Error{"OperationAborted", "A conflicting conditional operation is currently in progress against this resource. Try again.", http.StatusConflict}
	ErrOwnershipControlsNotFound          = &Error{"OwnershipControlsNotFoundError", "The bucket ownership controls were not found.", http.StatusNotFound}
	ErrPermanentRedirect                  = &Error{"PermanentRedirect", "The bucket that you are attempting to access must be addressed using the specified endpoint.", http.StatusMovedPermanently}
	ErrPreconditionFailed                 = &Error{"PreconditionFailed", "At least one of the preconditions that you specified did not hold.", http.StatusPreconditionFailed}
	ErrReplicationConfigurationNotFound   = &Error{"ReplicationConfigurationNotFoundError", "The replication configuration was not found.", http.StatusNotFound}
	ErrRequestExpired                     = &Error{"AccessDenied", "Request has expired.", http.StatusForbidden}
	ErrRequestHeaderSectionTooLarge       = &Error{"RequestHeaderSectionTooLarge", "Your request header section exceeds the maximum allowed size.", http.StatusBadRequest}
	ErrRequestIsNotMultiPartContent       = &Error{"RequestIsNotMultiPartContent", "A bucket POST request must be of the enclosure-type multipart/form-data.", http.StatusPreconditionFailed}
	ErrRequestTimeout                     = &Error{"RequestTimeout", "Your socket connection to the server was not read from or written to within the timeout period.", http.StatusBadRequest}
	ErrRequestTimeTooSkewed               = &Error{"RequestTimeTooSkewed", "The difference between the request time and the server's time is too large.", http.StatusForbidden}
	ErrServerSideEncryptionConfigNotFound = &Error{"ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found.", http.StatusNotFound}
	ErrServiceUnavailable                 = &Error{"ServiceUnavailable", "The service is unavailable now. Try again.", http.StatusServiceUnavailable}
	ErrSignatureDoesNotMatch              = &Error{"SignatureDoesNotMatch", "The request signature that the server calculated does not match the signature that you provided. Check your secret access key and signing method.", http.StatusForbidden}
	ErrSlowDown                           = &Error{"SlowDown", "Please reduce your request rate.", http.StatusServiceUnavailable}
	ErrTooManyBuckets                     = &Error{"TooManyBuckets", "You have attempted to create more buckets than are allowed for this account.", http.StatusBadRequest}
	ErrUnexpectedContent                  = &Error{"UnexpectedContent", "This request contains unsupported content.", http.StatusBadRequest}
	ErrUnresolvableGrantByEmailAddress    = &Error{"UnresolvableGrantByEmailAddress", "The e-mail address that you provided does not match any account on record.", http.StatusBadRequest}
	ErrUserKeyMustBeSpecified             = &Error{"UserKeyMustBeSpecified", "The bucket POST request must contain the specified field name. If it is specified, check the order of the fields.", http.StatusBadRequest}
	ErrXAmzContentSHA256Mismatch          = &Error{"XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.", http.StatusBadRequest}
)
