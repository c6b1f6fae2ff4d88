// Functions of elements that C++ lacks or spells otherwise; of NaN they make what NumPy makes.

template <typename T>
__device__ __forceinline__ T larger(T x, T y) {
    return x > y || x != x ? x : y;
}

template <typename T>
__device__ __forceinline__ T smaller(T x, T y) {
    return x < y || x != x ? x : y;
}

template <typename T>
__device__ __forceinline__ T magnitude(T x) {
    return x < T(0) ? T(-x) : x;
}

__device__ __forceinline__ float magnitude(float x) { return fabsf(x); }  // of -0 too
__device__ __forceinline__ double magnitude(double x) { return fabs(x); }

template <typename T>
__device__ __forceinline__ T sign_of(T x) {
    return x > T(0) ? T(1) : x < T(0) ? T(-1) : x;
}

template <typename T>
__device__ __forceinline__ bool is_finite(T x) {
    return x - x == T(0);
}

__device__ __forceinline__ float sigmoid(float x) {
    const float small = expf(-fabsf(x));  // never overflows
    return (x < 0.0f ? small : 1.0f) / (1.0f + small);
}

__device__ __forceinline__ double sigmoid(double x) {
    const double small = exp(-fabs(x));
    return (x < 0.0 ? small : 1.0) / (1.0 + small);
}
